import type { GetBucketNotificationConfigurationCommandOutput } from '@aws-sdk/client-s3';
import { bodyText, InvalidResponseError, splitRoot } from '../aws/response.ts';
import { S3_NAMESPACE } from './helpers.ts';

/** The notification configuration of a bucket: its top-level elements in the order of S3. */
export interface NotificationDoc {
  configurations: NotificationConfiguration[];
  /** Attributes of the root element, as S3 returned them. */
  rootAttributes?: string;
}

/** A top-level element: the events that S3 sends to one target, or the switch for EventBridge. */
export interface NotificationConfiguration {
  /** `QueueConfiguration`, `TopicConfiguration`, `CloudFunctionConfiguration`, `EventBridgeConfiguration`. */
  element: string;
  /** Absent for EventBridge, and for an element that this version does not know. */
  id?: string;
  /** ARN of the queue, topic or function. */
  target?: string;
  /** `s3:Replication:OperationFailedReplication` */
  events: string[];
  /** Whether it selects objects by their keys. */
  isFiltered: boolean;
  /** The element as S3 returned it, with everything that this version does not know. */
  xml?: string;
}

/**
 * Returns the document of a response. Its elements keep their text, because a write replaces the whole document, and the
 * SDK drops elements that it does not know.
 *
 * @throws InvalidResponseError
 */
export function toNotificationDoc(
  response: GetBucketNotificationConfigurationCommandOutput,
): NotificationDoc {
  const configurationsByElement: Record<string, NotificationConfiguration[]> = {
    TopicConfiguration: (response.TopicConfigurations ?? []).map((configuration) =>
      describeConfiguration('TopicConfiguration', configuration.TopicArn, configuration),
    ),
    QueueConfiguration: (response.QueueConfigurations ?? []).map((configuration) =>
      describeConfiguration('QueueConfiguration', configuration.QueueArn, configuration),
    ),
    CloudFunctionConfiguration: (response.LambdaFunctionConfigurations ?? []).map((configuration) =>
      describeConfiguration('CloudFunctionConfiguration', configuration.LambdaFunctionArn, configuration),
    ),
    EventBridgeConfiguration: response.EventBridgeConfiguration
      ? [{ element: 'EventBridgeConfiguration', events: [], isFiltered: false }]
      : [],
  };
  const body = bodyText(response);
  // A replayed response has no body. Nothing is written from it.
  if (body === undefined) return { configurations: Object.values(configurationsByElement).flat() };
  const { attributes, children } = splitRoot(body);
  const configurations = children.map(({ name, xml }): NotificationConfiguration => {
    const configuration =
      name in configurationsByElement ? configurationsByElement[name]?.shift() : undefined;
    return { ...(configuration ?? { element: name, events: [], isFiltered: false }), xml };
  });
  if (Object.values(configurationsByElement).some(({ length }) => length > 0))
    throw new InvalidResponseError('invalid response: its XML has fewer elements than configurations');
  return { configurations, ...(attributes && { rootAttributes: attributes }) };
}

/** A configuration as the SDK returns it. */
interface SdkConfiguration {
  Id?: string | undefined;
  Events: string[] | undefined;
  Filter?: { Key?: { FilterRules?: { Value?: string | undefined }[] | undefined } | undefined } | undefined;
}

const describeConfiguration = (
  element: string,
  target: string | undefined,
  { Id, Events = [], Filter }: SdkConfiguration,
): NotificationConfiguration => ({
  element,
  ...(Id !== undefined && { id: Id }),
  ...(target !== undefined && { target }),
  events: [...Events],
  isFiltered: (Filter?.Key?.FilterRules ?? []).some(({ Value = '' }) => Value !== ''),
});

/** The order of the elements in the schema of S3. */
const ELEMENT_ORDER = [
  'TopicConfiguration',
  'QueueConfiguration',
  'CloudFunctionConfiguration',
  'EventBridgeConfiguration',
];

/** Adds configurations after those of the same element, and keeps the order of all others. */
export function insertConfigurations(
  others: readonly NotificationConfiguration[],
  added: readonly NotificationConfiguration[],
): NotificationConfiguration[] {
  const result = [...others];
  for (const configuration of added) {
    const rank = ELEMENT_ORDER.indexOf(configuration.element);
    const precedes = ({ element }: NotificationConfiguration) => {
      const otherRank = ELEMENT_ORDER.indexOf(element);
      return otherRank >= 0 && otherRank <= rank;
    };
    result.splice(result.findLastIndex(precedes) + 1, 0, configuration);
  }
  return result;
}

/** Returns the text of a document. Elements that S3 returned keep their text. */
export const toNotificationXml = ({
  configurations,
  rootAttributes = S3_NAMESPACE,
}: NotificationDoc): string =>
  `<NotificationConfiguration${rootAttributes}>${configurations.map(toElementXml).join('')}</NotificationConfiguration>`;

/** Names of the element with the ARN. */
const TARGET_ELEMENTS: Record<string, string> = {
  TopicConfiguration: 'Topic',
  QueueConfiguration: 'Queue',
  CloudFunctionConfiguration: 'CloudFunction',
};

function toElementXml({ element, id = '', target = '', events, xml }: NotificationConfiguration): string {
  if (xml !== undefined) return xml;
  const text = (name: string, value: string) => `<${name}>${escapeXmlText(value)}</${name}>`;
  const fields = [text('Id', id), text(TARGET_ELEMENTS[element] ?? '', target)];
  return `<${element}>${[...fields, ...events.map((event) => text('Event', event))].join('')}</${element}>`;
}

const escapeXmlText = (text: string): string =>
  text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
