// What the broker does not offer yet. Each is refused as not implemented, in one place.
import { Refusal } from '../../kit/refusal.ts';

export function cancelScheduled(_topic: string, _sequences: readonly number[]): Promise<void> {
  return Promise.reject(new Refusal('method_not_allowed', 'Scheduled messages cannot be cancelled yet.'));
}

export function deleteMessages(_path: string, _which: { before: Date; limit: number }): Promise<number> {
  return Promise.reject(new Refusal('method_not_allowed', 'Messages cannot be deleted in batches yet.'));
}
