// What this Carillon tells whom. The three backends are those of the samples that it continues: HR (somebody joined, left
// or switched to a different team), finance (a budget waits for its approver) and account (a debit above the amount that
// this customer chose).
import { enterpriseNotification } from './src/events/ingest.ts';
import { defineConfig, defineNotification } from './src/main/config/define.ts';

type EmployeeChanged = { employee: { id: string; name: string }; team: string; formerTeam?: string; notify?: string[] };
type BudgetRequested = {
  request: string;
  requester: { id: string; name: string };
  approver: string;
  /** Where several may approve: the first answer counts. */
  approvers?: string[];
  amount: number;
  currency: string;
  purpose: string;
  link?: string;
};
type Debited = { customer: string; account: string; amount: number; currency: string; text?: string };
type Announced = { userid: string; message: string };

const whatHappened: Record<string, string> = {
  'hr.employee.joined': 'has joined',
  'hr.employee.left': 'has left',
  'hr.employee.switched': 'has switched to a different team',
};

const employeeChanged = defineNotification<EmployeeChanged>({
  name: 'employee-changed',
  topic: 'hr',
  category: 'hr',
  when: "type IN ('hr.employee.joined', 'hr.employee.left', 'hr.employee.switched')",
  channels: ['inbox', 'mobile', 'conversation'],
  urgency: 'low',
  audience: (event) => event.data.notify ?? { everyone: true },
  content: ({ type, data }) => ({
    title: `${data.employee.name} ${whatHappened[type]}`,
    body: data.formerTeam ? `From ${data.formerTeam} to ${data.team}.` : `Team: ${data.team}.`,
    facts: [
      { label: 'Employee', value: data.employee.id },
      { label: 'Team', value: data.team },
    ],
  }),
});

const budgetApproval = defineNotification<BudgetRequested>({
  name: 'budget-approval',
  topic: 'finance',
  category: 'finance',
  when: "type = 'finance.budget.requested'",
  // Work waits for the answer: it is always in the inbox, whatever the approver chose for the other channels.
  mandatory: ['inbox'],
  channels: ['inbox', 'mobile', 'conversation', 'email'],
  urgency: 'high',
  audience: (event) => event.data.approvers ?? [event.data.approver],
  content: ({ data }, recipient) => ({
    title: `${data.requester.name} asks for ${money(data.amount, data.currency, recipient.locale)}`,
    body: data.purpose,
    facts: [
      { label: 'Request', value: data.request },
      { label: 'Requested by', value: data.requester.name },
      { label: 'Amount', value: money(data.amount, data.currency, recipient.locale) },
    ],
    ...(data.link !== undefined && { link: { label: 'Open the request', url: data.link } }),
    actions: [
      { id: 'approve', label: 'Approve', style: 'primary', done: 'Approved' },
      { id: 'reject', label: 'Reject', style: 'danger', askReason: true, done: 'Rejected' },
    ],
  }),
  answers: {
    // Four eyes; and whoever changes a request asks anew: the earlier card can no longer be answered.
    requester: (event) => event.data.requester.id,
    key: (event) => event.data.request,
  },
});

const accountDebited = defineNotification<Debited>({
  name: 'account-debited',
  topic: 'account',
  category: 'account',
  when: "type = 'account.debited'",
  channels: ['inbox', 'mobile', 'conversation', 'email'],
  audience: (event) => [event.data.customer],
  content: ({ data }, recipient) => ({
    title: `${money(data.amount, data.currency, recipient.locale)} left account ${data.account}`,
    body: data.text ?? '',
  }),
});

// The canonical event of the Enterprise Notification sample, `{userid, message}`, as `POST /v1/ingest/enterprise-notification`.
const announcement = defineNotification<Announced>({
  name: 'announcement',
  topic: 'enterprise',
  category: 'announcements',
  when: "type = 'legacy.broadcast'",
  channels: ['inbox', 'mobile', 'conversation'],
  audience: (event) => [event.data.userid],
  content: ({ data }) => ({ title: data.message.slice(0, 250), body: data.message.slice(250) }),
});

export default defineConfig({
  topics: { hr: {}, finance: {}, account: {}, enterprise: {} },
  categories: {
    hr: { title: 'People', description: 'Colleagues who join, leave or switch to a different team.' },
    finance: { title: 'Approvals', description: 'Budgets that wait for your approval.' },
    account: {
      title: 'My account',
      description: 'Debits above an amount that you choose.',
      fields: [{ name: 'data.amount', label: 'Amount', kind: 'number' }],
      // Whoever chose no amount hears of debits above 100.
      defaults: { when: '[data.amount] > 100' },
    },
    announcements: { title: 'Announcements' },
  },
  notifications: [employeeChanged, budgetApproval, accountDebited, announcement],
  ingest: [enterpriseNotification('enterprise')],
});

const formats = new Map<string, Intl.NumberFormat>();

/** Making a format costs a hundred times what using it costs. */
function money(amount: number, currency: string, locale = 'en'): string {
  const key = `${locale} ${currency}`;
  const format = formats.get(key) ?? new Intl.NumberFormat(locale, { style: 'currency', currency });
  if (formats.size < 1000) formats.set(key, format);
  return format.format(amount);
}
