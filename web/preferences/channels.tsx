import { AlertRegular, ChatRegular, MailRegular, PhoneRegular } from '@fluentui/react-icons';
import type { ReactNode } from 'react';
import type { ChannelName } from '../kit/api.ts';

/** What people call the channels. */
export const channelWords: Record<ChannelName, { readonly name: string; readonly icon: ReactNode }> = {
  inbox: { name: 'Inbox', icon: <AlertRegular /> },
  mobile: { name: 'Phone', icon: <PhoneRegular /> },
  conversation: { name: 'Conversation', icon: <ChatRegular /> },
  email: { name: 'Email', icon: <MailRegular /> },
};
