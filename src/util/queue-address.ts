/**
 * What the URL or the ARN of an SQS queue says. The command line parses it at its start, so that this file imports nothing:
 * `queueAddressOf` of arn.ts adds what follows from the table of Regions.
 */
export interface QueueName {
  region: string;
  /** Twelve digits. */
  accountId: string;
  name: string;
  /** Absent: the queue was given by its ARN. */
  url?: string;
}

const ACCOUNT_AND_NAME = /^(\d{12})[/:]([\w-]{1,80}(?:\.fifo)?)$/;

/**
 * Parses the URL or the ARN of a queue. The Region is in the host of a URL: `sqs.us-east-1.amazonaws.com`, or the older
 * `us-east-1.queue.amazonaws.com`.
 *
 * @throws Error with the reason and an example.
 */
export function parseQueueName(text: string): QueueName {
  const { region, accountAndName, url } = text.startsWith('arn:') ? partsOfArn(text) : partsOfUrl(text);
  const [, accountId = '', name = ''] = ACCOUNT_AND_NAME.exec(accountAndName) ?? [];
  if (name === '')
    throw new Error(
      'Expected the URL or the ARN of an SQS queue, with an account id of 12 digits and a name.',
    );
  // Amazon S3 User Guide, "Supported event destinations".
  if (name.endsWith('.fifo'))
    throw new Error('S3 sends events to standard queues only: expected a queue without the suffix .fifo.');
  return { region, accountId, name, ...(url !== undefined && { url }) };
}

function partsOfArn(arn: string): { region: string; accountAndName: string; url?: undefined } {
  const [, region = '', accountAndName = ''] = /^arn:[\w-]+:sqs:([a-z]{2}[a-z-]*-\d+):(.*)$/.exec(arn) ?? [];
  if (region === '')
    throw new Error('Expected the ARN of an SQS queue, such as arn:aws:sqs:us-east-1:111122223333:failures.');
  return { region, accountAndName };
}

function partsOfUrl(text: string): { region: string; accountAndName: string; url: string } {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text))
    throw new Error(
      'Expected the URL or the ARN of an SQS queue, such as https://sqs.us-east-1.amazonaws.com/111122223333/failures.',
    );
  const { hostname, pathname, username, search } = new URL(text);
  if (username !== '' || search !== '')
    throw new Error('Expected the URL of an SQS queue without user name and parameters.');
  const region = hostname.split('.').find((label) => /^[a-z]{2}(-[a-z]+)+-\d+$/.test(label));
  const isOldest = hostname === 'queue.amazonaws.com';
  if (region === undefined && !isOldest)
    throw new Error('The URL of the queue contains no Region: use the ARN of the queue.');
  return { region: region ?? 'us-east-1', accountAndName: pathname.slice(1).replace(/\/$/, ''), url: text };
}
