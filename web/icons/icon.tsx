// What the full package calls createFluentIcon and bundleIcon, without its styling engine: an svg in the colour of its text.
import type { ComponentType, SVGAttributes } from 'react';

export const iconFilledClassName = 'icon-filled';
export const iconRegularClassName = 'icon-regular';

type IconProps = SVGAttributes<SVGElement> & { readonly filled?: boolean; readonly primaryFill?: string };

/** `size` is a number of pixels, or `1em`: as large as the text around it. Decorative unless it is given a label. */
export function icon(size: string, paths: readonly string[]): ComponentType<IconProps> {
  const box = size === '1em' ? 20 : Number(size);
  return function Icon({ filled: _filled, primaryFill, ...rest }: IconProps) {
    return (
      // biome-ignore lint/a11y/noSvgWithoutTitle: decorative, or labelled by its user
      <svg
        xmlns="http://www.w3.org/2000/svg"
        width={size}
        height={size}
        viewBox={`0 0 ${box} ${box}`}
        fill={primaryFill ?? 'currentColor'}
        {...(rest['aria-label'] ? { role: 'img' } : { 'aria-hidden': true })}
        {...rest}
        className={rest.className ? `icon ${rest.className}` : 'icon'}
      >
        {paths.map((path) => (
          <path key={path} d={path} />
        ))}
      </svg>
    );
  };
}

/** One icon of two: filled where `filled` is set, else regular. */
export function bundleIcon(
  Filled: ComponentType<IconProps>,
  Regular: ComponentType<IconProps>,
): ComponentType<IconProps> {
  return function Bundle(props: IconProps) {
    return props.filled ? <Filled {...props} /> : <Regular {...props} />;
  };
}
