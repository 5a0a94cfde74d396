// An event in the JSON format (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
import type { CloudEvent } from './cloudevent.ts';

export function eventToJson(event: CloudEvent): Record<string, unknown> {
  const { extensions, data, raw: _, time, ...attributes } = event;
  const payload = data instanceof Uint8Array ? { data_base64: Buffer.from(data).toString('base64') } : { data };
  return {
    specversion: '1.0',
    ...attributes,
    time: time.toISOString(),
    ...extensions,
    ...(data === undefined ? {} : payload),
  };
}
