import { describe, expect, it } from 'vitest';
import { browserName, deviceIdOf } from './device.ts';
import { parsePush } from './push-message.ts';

describe('a push', () => {
  it('shows its title and body, and carries what a click opens', () => {
    const push = parsePush(
      '{"title":"Emmy has joined","body":"Team: Ciphers.","notice":"ntc_1","link":"https://hr.example/1"}',
    );
    expect(push).toMatchObject({
      title: 'Emmy has joined',
      options: { body: 'Team: Ciphers.', tag: 'ntc_1', data: { notice: 'ntc_1', link: 'https://hr.example/1' } },
    });
  });

  it.each([undefined, '', 'null', '[]', '"x"', '{"title":5}', '{"body":{}}'])('of %j still shows something', (text) => {
    expect(parsePush(text).title).toBe('You have a new notice');
  });

  it('that is no JSON is shown as text', () => {
    expect(parsePush('Fire drill at ten').title).toBe('Fire drill at ten');
  });

  it('keeps no address that is not of the web', () => {
    expect(parsePush('{"title":"x","link":"javascript:alert(1)"}').data.link).toBeUndefined();
  });
});

describe('a browser as a device', () => {
  it('has the same id for the same push address, and another for another', async () => {
    const id = await deviceIdOf({ endpoint: 'https://push.example/1' });
    expect(id).toMatch(/^web-[\w-]{32}$/);
    expect(await deviceIdOf({ endpoint: 'https://push.example/1' })).toBe(id);
    expect(await deviceIdOf({ endpoint: 'https://push.example/2' })).not.toBe(id);
  });

  it.each([
    ['Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0', 'Firefox on Linux'],
    [
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0',
      'Edge on Windows',
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1',
      'Safari on iPhone',
    ],
    [
      'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36',
      'Chrome on Android',
    ],
    ['curl/8', 'Browser'],
  ])('is called by its make and system: %s', (agent, name) => {
    expect(browserName(agent)).toBe(name);
  });
});
