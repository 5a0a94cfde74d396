// How Adaptive Cards look here. Colours are those of the page, so light and dark come by themselves; the rest is sizes.

const text = (name: string) => ({ default: `var(--${name})`, subtle: 'var(--ink-3)' });
const colours = {
  default: text('ink'),
  dark: text('ink'),
  light: text('ink-3'),
  accent: text('brand'),
  good: text('good'),
  warning: text('warn'),
  attention: text('bad'),
};
const style = (backgroundColor: string) => ({ backgroundColor, foregroundColors: colours });

export const hostConfig = {
  fontFamily: 'inherit',
  supportsInteractivity: true,
  spacing: { small: 6, default: 10, medium: 16, large: 24, extraLarge: 32, padding: 16 },
  separator: { lineThickness: 1, lineColor: 'var(--line)' },
  fontSizes: { small: 12, default: 15, medium: 17, large: 20, extraLarge: 26 },
  fontWeights: { lighter: 400, default: 400, bolder: 650 },
  imageSizes: { small: 40, medium: 80, large: 160 },
  containerStyles: {
    default: style('transparent'),
    emphasis: style('var(--colorNeutralBackground2)'),
    accent: style('var(--brand-soft)'),
    good: style('var(--good-soft)'),
    warning: style('var(--warn-soft)'),
    attention: style('var(--bad-soft)'),
  },
  actions: {
    maxActions: 6,
    spacing: 'default',
    buttonSpacing: 8,
    showCard: { actionMode: 'inline', inlineTopMargin: 12 },
    actionsOrientation: 'horizontal',
    actionAlignment: 'left',
  },
  adaptiveCard: { allowCustomStyle: false },
  inputs: { label: { inputSpacing: 4, requiredInputs: { weight: 'bolder', suffix: ' *', suffixColor: 'attention' } } },
  factSet: {
    title: { color: 'default', size: 'default', isSubtle: true, weight: 'default', wrap: true, maxWidth: 150 },
    value: { color: 'default', size: 'default', isSubtle: false, weight: 'bolder', wrap: true },
    spacing: 12,
  },
};
