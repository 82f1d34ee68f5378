import { commandInfo, isReadOperation } from '../aws/command.ts';
import { classifyError, redactError } from '../aws/errors.ts';
import type { SdkClients, Transport } from '../aws/sdk-clients.ts';
import { compareCodeUnits, omitUndefined } from '../util/canonical-json.ts';
import { type RecordedError, type Snapshot, type SnapshotResponse, snapshotKey } from './snapshot.ts';

/** Clients that remember what was answered to reads. */
export interface RecordingClients extends SdkClients {
  /** What was answered so far, in one order for the same answers. */
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
            // What passes by itself is no answer; the attempt after it is.
            if (classifyError(error) === 'final')
              responsesByKey.set(key, { ...request, error: toRecordedError(redactError(error)) });
            throw error;
          }
        },
      };
    },
    destroy: () => clients.destroy(),
    snapshot: (observedAt) => ({
      format: 1,
      observedAt: observedAt.toISOString(),
      answers: [...responsesByKey].sort(([a], [b]) => compareCodeUnits(a, b)).map(([, response]) => response),
    }),
  };
}

/** As JSON has it, without what tells of the transport. */
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
