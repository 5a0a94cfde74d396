// The unmodified CloudEvents SDK sends in all three modes; what the log then holds is what it sent.
import { emitterFor, HTTP, httpTransport, type Message, Mode, CloudEvent as SdkEvent } from 'cloudevents';
import { describe, expect, it } from 'vitest';
import { ADMIN_KEY, useServer } from '../support/http-server.ts';

const http = useServer();
const attributes = {
  id: 'sdk-1',
  source: '/hr/directory',
  type: 'hr.employee.joined',
  subject: 'ada',
  time: '2026-11-22T08:30:00.125Z',
  dataschema: 'https://example.org/schemas/joined',
};

async function send(
  message: Message,
): Promise<{ status: number; body: { accepted: number; events: { sequence: number }[] } }> {
  const answer = await fetch(`${http.server.url}/v1/topics/hr/events`, {
    method: 'POST',
    headers: { ...(message.headers as Record<string, string>), authorization: `Bearer ${ADMIN_KEY}` },
    body: message.body as string,
  });
  return { status: answer.status, body: (await answer.json()) as never };
}

async function logged(sequence: number) {
  const { json } = await http.call(`/v1/topics/hr/events?from=${sequence}&limit=1`);
  return json.items[0].event;
}

describe('the SDK as sender', () => {
  it('in binary mode', async () => {
    const event = new SdkEvent({ ...attributes, id: 'binary', team: 'Käfer 🐞', data: { name: 'Ada', n: 1.5 } });
    const message = HTTP.binary(event);
    // fetch, like Node's own client, takes no header beyond Latin-1: percent-encoding is the binding's rule for the rest.
    const headers = Object.fromEntries(
      Object.entries(message.headers).map(([name, value]) => [name, encodeURI(String(value))]),
    );
    const { status, body } = await send({
      ...message,
      headers: { ...headers, 'content-type': 'application/json; charset=utf-8' },
    });
    expect(status).toBe(202);
    expect(await logged(body.events[0]!.sequence)).toEqual({
      ...attributes,
      specversion: '1.0',
      id: 'binary',
      team: 'Käfer 🐞',
      datacontenttype: 'application/json; charset=utf-8',
      data: { name: 'Ada', n: 1.5 },
    });
  });

  it('in structured mode', async () => {
    const event = new SdkEvent({ ...attributes, id: 'structured', level: 3, team: 'Käfer 🐞', data: { name: 'Ada' } });
    const { status, body } = await send(HTTP.structured(event));
    expect(status).toBe(202);
    expect(await logged(body.events[0]!.sequence)).toMatchObject({
      ...attributes,
      id: 'structured',
      level: 3,
      team: 'Käfer 🐞',
      data: { name: 'Ada' },
    });
  });

  it('with binary data in structured mode', async () => {
    const data = Uint8Array.of(0, 1, 254, 255);
    const event = new SdkEvent({ ...attributes, id: 'bytes', datacontenttype: 'application/octet-stream', data });
    const { body } = await send(HTTP.structured(event));
    expect((await logged(body.events[0]!.sequence)).data_base64).toBe(Buffer.from(data).toString('base64'));
  });

  it('in batched mode', async () => {
    const batch = ['b1', 'b2', 'b3'].map((id) => new SdkEvent({ ...attributes, id, data: { id } }));
    const { status, body } = await send({
      headers: { 'content-type': 'application/cloudevents-batch+json' },
      body: JSON.stringify(batch),
    });
    expect([status, body.accepted]).toEqual([202, 3]);
    expect(await logged(body.events[2]!.sequence)).toMatchObject({ id: 'b3', data: { id: 'b3' } });
  });

  it('through its own transport, in both modes', async () => {
    for (const mode of [Mode.BINARY, Mode.STRUCTURED]) {
      const emit = emitterFor(httpTransport(`${http.server.url}/v1/topics/hr/events`), { mode });
      const event = new SdkEvent({ ...attributes, id: `emit-${mode}`, data: { name: 'Ada' } });
      const answer = (await emit(event, { headers: { authorization: `Bearer ${ADMIN_KEY}` } })) as { body: string };
      const { events } = JSON.parse(answer.body);
      expect(await logged(events[0].sequence)).toMatchObject({ id: `emit-${mode}`, data: { name: 'Ada' } });
    }
  });

  it('reads back what we wrote, with its own parser', async () => {
    const { body } = await send(HTTP.structured(new SdkEvent({ ...attributes, id: 'back', data: [1] })));
    const event = await logged(body.events[0]!.sequence);
    const headers = { 'content-type': 'application/cloudevents+json' };
    expect((HTTP.toEvent({ headers, body: JSON.stringify(event) }) as SdkEvent<number[]>).data).toEqual([1]);
  });

  it('is told when the same event comes twice', async () => {
    const event = new SdkEvent({ ...attributes, id: 'twice' });
    await send(HTTP.binary(event));
    expect((await send(HTTP.structured(event))).body.events[0]).toMatchObject({ duplicate: true });
  });
});
