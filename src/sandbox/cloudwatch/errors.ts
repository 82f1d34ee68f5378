import { AwsError } from '../aws-error.ts';

/**
 * Returns an error of CloudWatch. The JSON and CBOR protocols name the shape of the error in the body, and its code in the
 * older Query protocol in a header, from which the SDKs take it (smithy.io, "AWS Query compatible").
 */
export const cloudWatchError = (
  code: string,
  message: string,
  { shape = `com.amazonaws.cloudwatch#${code}`, status = 400 }: { shape?: string; status?: number } = {},
): AwsError =>
  new AwsError(status, code, message, { __type: shape }, { 'x-amzn-query-error': `${code};Sender` });

/** Returns the error for a value that an operation does not allow. The model of CloudWatch has no shape for it. */
export const validationError = (message: string): AwsError =>
  cloudWatchError('ValidationError', message, { shape: 'com.amazon.coral.validate#ValidationException' });

/** Returns the error for members that an operation does not allow together. */
export const parameterCombinationError = (message: string): AwsError =>
  cloudWatchError('InvalidParameterCombination', message, {
    shape: 'com.amazonaws.cloudwatch#InvalidParameterCombinationException',
  });

export const requiredParameterError = (message: string): AwsError =>
  cloudWatchError('MissingParameter', message, {
    shape: 'com.amazonaws.cloudwatch#MissingRequiredParameterException',
  });
