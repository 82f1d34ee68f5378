import { describe } from 'vitest';
import { pythonEnvironment } from '../support/python.ts';
import { boto3Client } from './clients/boto3.ts';
import { compareFacts } from './compare-facts.ts';

const boto3 = pythonEnvironment('boto3');

describe.skipIf(boto3.missing)(`boto3${boto3.missing ? `: ${boto3.missing}` : ''}`, () => {
  compareFacts('boto3', (endpoint) => boto3Client(boto3.program('python'), endpoint));
});
