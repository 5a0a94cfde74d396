// SASL as Service Bus offers it. Azure's clients come in anonymously and put their tokens later ($cbs); generic AMQP
// clients give the name and key of a rule at once.
import type { Grant } from './authority.ts';

/** What rhea asks of a mechanism: `outcome` tells whether the client may come in. */
type Mechanism = {
  outcome: boolean | undefined;
  username: string | undefined;
  start(response: Buffer | null): Promise<void> | void;
  step(response: Buffer | null): Promise<void> | void;
};

export type SaslHooks = {
  /** The grants of a name and key; none means that they are wrong. */
  readonly check: (name: string, key: string) => Promise<readonly Grant[]>;
  readonly granted: (grants: readonly Grant[]) => void;
  readonly failed: () => void;
};

/** The mechanisms of one connection. MSSBCBS and EXTERNAL are other names of coming in without a key. */
export function saslMechanisms(hooks: SaslHooks): Record<string, () => Mechanism> {
  const byKey = () => plain(hooks);
  return { MSSBCBS: anonymous, ANONYMOUS: anonymous, PLAIN: byKey, EXTERNAL: anonymous };
}

function anonymous(): Mechanism {
  const enter = function (this: Mechanism) {
    this.outcome = true;
  };
  return { outcome: undefined, username: 'anonymous', start: enter, step: enter };
}

function plain({ check, granted, failed }: SaslHooks): Mechanism {
  const enter = async function (this: Mechanism, response: Buffer | null) {
    const [, name = '', key = ''] = (response?.toString('utf8') ?? '').split('\0');
    const grants = await check(name, key);
    this.outcome = grants.length > 0;
    this.username = name;
    if (this.outcome) granted(grants);
    else failed();
  };
  return { outcome: undefined, username: undefined, start: enter, step: enter };
}
