// One push to one device, to see whether its way works: the answer is what the push service said.

import { Refusal } from '../kit/refusal.ts';
import { type Device, handleOf } from './devices.ts';
import { payloads } from './drivers/payloads.ts';
import { pushPlatform } from './lanes.ts';
import type { OutcomeName } from './outcome-name.ts';
import { type PushDeps, pushAims } from './push.ts';

/** Refuses (`conflict`) a device whose platform cannot be pushed to. A dead one is pruned, as with any push. */
export async function testPush(
  deps: PushDeps,
  device: Device,
  text: { readonly title: string; readonly body?: string | undefined },
): Promise<OutcomeName | 'Skipped'> {
  const platform = pushPlatform(device.installation.platform);
  if (platform === undefined)
    throw new Refusal('conflict', `Nothing is pushed to devices of the platform ${device.installation.platform}.`);
  const card = { title: text.title, ...(text.body === undefined ? {} : { body: text.body }) };
  const { payload, headers } = payloads[platform]({ noticeId: `test-${Date.now()}`, card });
  const address = device.installation.pushChannel;
  const handle = handleOf(device.installation);
  const [pushed] = await pushAims(deps, device.hub, [
    { platform, address, handle, payload, headers, deviceId: device.id, part: '' },
  ]);
  return pushed!.outcome;
}
