import { commandInfo, isReadOperation } from '../aws/command.ts';
import { classifyError, redactError } from '../aws/errors.ts';
import type { SdkClients, Transport } from '../aws/sdk-clients.ts';
import { compareCodeUnits, omitUndefined } from '../util/canonical-json.ts';
import { type RecordedError, type Snapshot, type SnapshotResponse, snapshotKey } from './snapshot.ts';

/** SDK clients that record the responses to reads. */
export interface RecordingClients extends SdkClients {
  /** Returns the responses so far, in an order that depends only on the requests. */
  snapshot(observedAt: Date): Snapshot;
}

export function createRecordingClients(clients: SdkClients): RecordingClients {
  const responsesByKey = new Map<string, SnapshotResponse>();
  return {
    get: (service, location): Transport => {
      const client = clients.get(service, location);
      return {
        destroy: () => client.destroy(),
        async send(command) {
          const { operation, input } = commandInfo(command);
          if (!isReadOperation(operation)) return client.send(command);
          const request = { call: `${service}:${operation}`, ...location, input: toPlainJson(input) };
          const key = snapshotKey(request.call, location, request.input);
          try {
            const output = await client.send(command);
            responsesByKey.set(key, { ...request, output: toPlainJson(output) });
            return output;
          } catch (error) {
            // A transient error is not recorded; the response to the retry is.
            if (classifyError(error) === 'final')
              responsesByKey.set(key, { ...request, error: toRecordedError(redactError(error)) });
            throw error;
          }
        },
      };
    },
    destroy: () => clients.destroy(),
    endpoint: clients.endpoint,
    now: clients.now,
    snapshot: (observedAt) => ({
      format: 1,
      observedAt: observedAt.toISOString(),
      answers: [...responsesByKey].sort(([a], [b]) => compareCodeUnits(a, b)).map(([, response]) => response),
    }),
  };
}

/** Converts a value to plain JSON, without the transport metadata. */
function toPlainJson(value: unknown): unknown {
  const { $metadata: _, ...data } = value as { $metadata?: unknown };
  return JSON.parse(JSON.stringify(data));
}

function toRecordedError(error: unknown): RecordedError {
  const { name, message, $metadata, $response } = error as Error & {
    $metadata?: { httpStatusCode?: number };
    $response?: { headers?: Record<string, string> };
  };
  return omitUndefined({
    name,
    message,
    status: $metadata?.httpStatusCode,
    bucketRegion: $response?.headers?.['x-amz-bucket-region'],
  }) as RecordedError;
}
