// None of our pages is read from right to left yet, so icons need not be told.
import { Fragment, type ReactNode } from 'react';

export function IconDirectionContextProvider({ children }: { readonly children?: ReactNode; readonly value: unknown }) {
  return <Fragment>{children}</Fragment>;
}
