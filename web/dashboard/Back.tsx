import { ArrowLeftRegular } from '@fluentui/react-icons';

export function Back({ href, name }: { readonly href: string; readonly name: string }) {
  return (
    <a className="back" href={href}>
      <ArrowLeftRegular /> {name}
    </a>
  );
}
