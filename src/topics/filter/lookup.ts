// What the filter language knows of the outside: names with values, asked for one at a time. A message, an event and
// a recipient's attributes all look like this to it.

/** A property's value. An Int64 is a number when it is a safe integer, else a bigint; a GUID is its text. */
export type PropertyValue = string | number | bigint | boolean | Date | Uint8Array | null;

export type Scope = 'sys' | 'user';

/**
 * Gives the value of a property. `name` is as the filter wrote it, `folded` in lower case; names are case-insensitive,
 * so compare by `folded` where the spelling may differ (`lookupIn` does). `undefined` means: there is no such property.
 * That makes a user property unknown and a system property a fault; a system property that is known but not set is null.
 */
export type Lookup = (scope: Scope, name: string, folded: string) => PropertyValue | undefined;

export type SystemProperty = {
  readonly name: string;
  readonly type: 'string' | 'number' | 'date';
  readonly settable: boolean;
};

/**
 * The system properties of Azure Service Bus, by folded name. A lookup is asked for `name` as spelled here, whatever
 * the filter wrote (`sys.Label` asks for `Subject`). `TimeToLive` is a number of milliseconds.
 */
export const systemProperties: ReadonlyMap<string, SystemProperty> = systemTable();

function systemTable(): Map<string, SystemProperty> {
  const table = new Map<string, SystemProperty>();
  const put = (type: SystemProperty['type'], settable: boolean, names: string) => {
    for (const name of names.split(' ')) table.set(name.toLowerCase(), { name, type, settable });
  };
  put('string', true, 'MessageId CorrelationId SessionId ReplyToSessionId Subject ContentType To ReplyTo');
  put('string', true, 'PartitionKey ViaPartitionKey');
  put('number', true, 'TimeToLive');
  put('date', true, 'ScheduledEnqueueTimeUtc');
  put('date', false, 'EnqueuedTimeUtc ExpiresAtUtc LockedUntilUtc');
  put('number', false, 'SequenceNumber EnqueuedSequenceNumber Size DeliveryCount');
  put('string', false, 'DeadLetterSource State');
  table.set('label', table.get('subject')!);
  return table;
}

/**
 * A lookup over plain records. Exact spelling is tried first, then any spelling; `sys` is asked by the names of
 * `systemProperties` (absent key = there is no such system property).
 */
export function lookupIn(
  user: Readonly<Record<string, PropertyValue | undefined>>,
  sys: Readonly<Record<string, PropertyValue | undefined>> = {},
): Lookup {
  let foldedUser: Map<string, PropertyValue | undefined> | undefined;
  let foldedSys: Map<string, PropertyValue | undefined> | undefined;
  return (scope, name, folded) => {
    const values = scope === 'user' ? user : sys;
    if (Object.hasOwn(values, name)) return values[name];
    if (scope === 'user') {
      foldedUser ??= foldKeys(user);
      return foldedUser.get(folded);
    }
    foldedSys ??= foldKeys(sys);
    return foldedSys.get(folded);
  };
}

/** The first spelling wins where two keys differ only in case. */
function foldKeys(values: Readonly<Record<string, PropertyValue | undefined>>): Map<string, PropertyValue | undefined> {
  const folded = new Map<string, PropertyValue | undefined>();
  for (const key of Object.keys(values)) {
    const name = key.toLowerCase();
    if (!folded.has(name)) folded.set(name, values[key]);
  }
  return folded;
}
