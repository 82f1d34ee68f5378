import { AwsError } from '../aws-error.ts';

/**
 * Returns an error of SQS. The JSON protocol names the shape of the error in the body, and its code in the older Query
 * protocol in a header, from which the SDKs take it (smithy.io, "AWS Query compatible").
 */
export const sqsError = (
  shape: string,
  message: string,
  { queryCode = shape, status = 400 }: { queryCode?: string; status?: number } = {},
): AwsError =>
  new AwsError(
    status,
    shape,
    message,
    { __type: `com.amazonaws.sqs#${shape}` },
    { 'x-amzn-query-error': `${queryCode};Sender` },
  );

export const noSuchQueueError = (message = 'The specified queue does not exist.'): AwsError =>
  sqsError('QueueDoesNotExist', message, { queryCode: 'AWS.SimpleQueueService.NonExistentQueue' });

/** Returns the error for a parameter; SQS has no shape for it in its model. */
export const parameterError = (message: string): AwsError =>
  new AwsError(
    400,
    'InvalidParameterValue',
    message,
    { __type: 'com.amazon.coral.service#InvalidParameterValueException' },
    { 'x-amzn-query-error': 'InvalidParameterValue;Sender' },
  );

export const invalidValueError = (value: unknown, parameter: string, reason: string): AwsError =>
  parameterError(`Value ${value} for parameter ${parameter} is invalid. Reason: ${reason}`);

export const missingParameterError = (parameter: string): AwsError =>
  new AwsError(
    400,
    'MissingParameter',
    `The request must contain the parameter ${parameter}.`,
    { __type: 'com.amazon.coral.service#MissingRequiredParameterException' },
    { 'x-amzn-query-error': 'MissingParameter;Sender' },
  );

export const sqsAccessDeniedError = (message: string): AwsError =>
  new AwsError(
    403,
    'AccessDenied',
    message,
    { __type: 'com.amazon.coral.service#AccessDeniedException' },
    { 'x-amzn-query-error': 'AccessDenied;Sender' },
  );
