// Authorization rules of a topic or queue in their XML form.
import { randomBytes } from 'node:crypto';
import { Refusal } from '../../../kit/refusal.ts';
import { child, childText, type Element, tag, textTag } from '../../../kit/xml.ts';
import type { AuthorizationRule, Right } from '../authority.ts';

const RIGHTS: readonly Right[] = ['Manage', 'Send', 'Listen'];

/** Keys that are not given are made. Refuses more rules than `most`. */
export function readRules(element: Element, now: Date, most: number): AuthorizationRule[] {
  const rules = element.children.filter(({ name }) => name === 'AuthorizationRule').map((rule) => readRule(rule, now));
  if (rules.length > most)
    throw new Refusal(
      'quota_exceeded',
      `An entity has at most ${most} authorization rules (CARILLON_AUTHORIZATION_RULES).`,
    );
  if (new Set(rules.map(({ keyName }) => keyName)).size < rules.length)
    throw new Refusal('bad_request', 'Two authorization rules have the same name.');
  return rules;
}

function readRule(element: Element, now: Date): AuthorizationRule {
  const keyName = childText(element, 'KeyName');
  if (keyName === undefined || keyName.length > 256)
    throw new Refusal('bad_request', 'An authorization rule has a KeyName of at most 256 characters.');
  const rights = (child(element, 'Rights')?.children ?? []).map(({ text }) => text.trim() as Right);
  const known = rights.length > 0 && rights.every((right) => RIGHTS.includes(right));
  const whole = !rights.includes('Manage') || RIGHTS.every((right) => rights.includes(right));
  if (!known || !whole)
    throw new Refusal(
      'bad_request',
      `The rights of '${keyName}' must be Send, Listen, or all of Manage, Send, Listen.`,
    );
  return {
    keyName,
    rights,
    primaryKey: childText(element, 'PrimaryKey') ?? newKey(),
    secondaryKey: childText(element, 'SecondaryKey') ?? newKey(),
    createdAt: childText(element, 'CreatedTime') ?? now.toISOString(),
  };
}

function newKey(): string {
  return randomBytes(32).toString('base64');
}

export function printRules(rules: readonly AuthorizationRule[]): string {
  if (rules.length === 0) return '';
  return tag('AuthorizationRules', rules.map(printRule).join(''));
}

function printRule(rule: AuthorizationRule): string {
  const rights = rule.rights.map((right) => textTag('AccessRights', right)).join('');
  const fields = [
    textTag('ClaimType', 'SharedAccessKey'),
    textTag('ClaimValue', 'None'),
    tag('Rights', rights),
    textTag('CreatedTime', rule.createdAt),
    textTag('ModifiedTime', rule.createdAt),
    textTag('KeyName', rule.keyName),
    textTag('PrimaryKey', rule.primaryKey),
    textTag('SecondaryKey', rule.secondaryKey),
  ];
  return tag('AuthorizationRule', fields.join(''), 'i:type="SharedAccessAuthorizationRule"');
}
