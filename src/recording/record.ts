import { classify } from '../aws/classify.ts';
import type { Clients, Transport } from '../aws/clients.ts';
import { isRead, nameOf } from '../aws/operation.ts';
import { withoutEcho } from '../aws/without-echo.ts';
import { byCodeUnit, defined } from '../canonical.ts';
import { type Answer, keyOf, type Recording, type Refused } from './recording.ts';

/** Clients that remember what was answered to reads. */
export interface RecordingClients extends Clients {
  /** What was answered so far, in one order for the same answers. */
  recording(observedAt: Date): Recording;
}

export function recordingClients(clients: Clients): RecordingClients {
  const answers = new Map<string, Answer>();
  return {
    get: (service, at): Transport => {
      const client = clients.get(service, at);
      return {
        destroy: () => client.destroy(),
        async send(command) {
          const { operation, input } = nameOf(command);
          if (!isRead(operation)) return client.send(command);
          const asked = { call: `${service}:${operation}`, ...at, input: plain(input) };
          const key = keyOf(asked.call, at, asked.input);
          try {
            const output = await client.send(command);
            answers.set(key, { ...asked, output: plain(output) });
            return output;
          } catch (error) {
            // What passes by itself is no answer; the attempt after it is.
            if (classify(error) === 'final')
              answers.set(key, { ...asked, error: refused(withoutEcho(error)) });
            throw error;
          }
        },
      };
    },
    destroy: () => clients.destroy(),
    recording: (observedAt) => ({
      format: 1,
      observedAt: observedAt.toISOString(),
      answers: [...answers].sort(([a], [b]) => byCodeUnit(a, b)).map(([, answer]) => answer),
    }),
  };
}

/** As JSON has it, without what tells of the transport. */
function plain(value: unknown): unknown {
  const { $metadata: _, ...rest } = value as { $metadata?: unknown };
  return JSON.parse(JSON.stringify(rest));
}

function refused(error: unknown): Refused {
  const { name, message, $metadata, $response } = error as Error & {
    $metadata?: { httpStatusCode?: number };
    $response?: { headers?: Record<string, string> };
  };
  return defined({
    name,
    message,
    status: $metadata?.httpStatusCode,
    bucketRegion: $response?.headers?.['x-amz-bucket-region'],
  }) as Refused;
}
