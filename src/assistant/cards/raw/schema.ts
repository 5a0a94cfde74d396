// What an Adaptive Card 1.5 may hold, as a table: for each kind of thing its properties, and for each property what it is.
// After the published schema (https://adaptivecards.io/explorer). What is not in the table is refused: a renderer that
// reads more than we know of could be told things that nobody has checked.

/** `text`: shown, and read as Markdown by some renderer. `name`: an id. The rest says itself in parse.ts. */
export type Kind =
  | 'text'
  | 'name'
  | 'flag'
  | 'number'
  | 'px'
  | 'width'
  | 'color'
  | 'language'
  | 'date'
  | 'time'
  | 'link'
  | 'image'
  | 'media'
  | 'background'
  | 'requires'
  | 'targets'
  | 'ignored'
  | { readonly oneOf: readonly string[] }
  /** A thing, or a list of things, of one of these kinds. `or`: a text that may stand for it. */
  | { readonly thing: readonly string[]; readonly or?: readonly string[] }
  | { readonly things: readonly string[]; readonly orText?: true };

export type Shape = { readonly properties: Readonly<Record<string, Kind>>; readonly required?: readonly string[] };

const spacing = { oneOf: ['default', 'none', 'small', 'medium', 'large', 'extraLarge', 'padding'] };
const colors = { oneOf: ['default', 'dark', 'light', 'accent', 'good', 'warning', 'attention'] };
const fontSize = { oneOf: ['default', 'small', 'medium', 'large', 'extraLarge'] };
const weight = { oneOf: ['default', 'lighter', 'bolder'] };
const fontType = { oneOf: ['default', 'monospace'] };
const horizontal = { oneOf: ['left', 'center', 'right'] };
const vertical = { oneOf: ['top', 'center', 'bottom'] };
const containerStyle = { oneOf: ['default', 'emphasis', 'good', 'attention', 'warning', 'accent'] };
const imageSize = { oneOf: ['auto', 'stretch', 'small', 'medium', 'large'] };

export const inputTypes = ['Input.Text', 'Input.Number', 'Input.Date', 'Input.Time', 'Input.Toggle', 'Input.ChoiceSet'];
const elementTypes = [
  'ActionSet',
  'ColumnSet',
  'Container',
  'FactSet',
  'Image',
  'ImageSet',
  'Media',
  'RichTextBlock',
  'Table',
  'TextBlock',
  ...inputTypes,
];
/** Those that send an answer. */
export const answerTypes = ['Action.Submit', 'Action.Execute'];
const selectTypes = [...answerTypes, 'Action.OpenUrl', 'Action.ToggleVisibility'];
const actionTypes = [...selectTypes, 'Action.ShowCard'];

const elements: Kind = { things: elementTypes };
const selectAction: Kind = { thing: selectTypes };
const toggleable = { id: 'name', isVisible: 'flag', requires: 'requires' } as const;
const spaced = { separator: 'flag', spacing } as const;
const element = {
  ...toggleable,
  ...spaced,
  height: { oneOf: ['auto', 'stretch'] },
  fallback: { thing: elementTypes, or: ['drop'] },
} as const;
const input = { ...element, errorMessage: 'text', isRequired: 'flag', label: 'text' } as const;
const action = {
  id: 'name',
  title: 'text',
  iconUrl: 'image',
  style: { oneOf: ['default', 'positive', 'destructive'] },
  tooltip: 'text',
  isEnabled: 'flag',
  mode: { oneOf: ['primary', 'secondary'] },
  requires: 'requires',
  fallback: { thing: actionTypes, or: ['drop'] },
} as const;
/** `data` and `verb` are ours: what an author puts there would come back from anybody. */
const answer = { ...action, data: 'ignored', verb: 'ignored', associatedInputs: { oneOf: ['auto', 'none'] } } as const;
const box = {
  selectAction,
  style: containerStyle,
  verticalContentAlignment: vertical,
  bleed: 'flag',
  backgroundImage: 'background',
  minHeight: 'px',
  rtl: 'flag',
} as const;
const cellAlignment = { horizontalCellContentAlignment: horizontal, verticalCellContentAlignment: vertical } as const;

export const shapes: Readonly<Record<string, Shape>> = {
  AdaptiveCard: {
    properties: {
      version: 'ignored', // checked and set by parse.ts
      $schema: 'ignored',
      body: elements,
      actions: { things: actionTypes },
      selectAction,
      fallbackText: 'ignored', // the text twin of the neutral card stands there
      backgroundImage: 'background',
      minHeight: 'px',
      rtl: 'flag',
      speak: 'text',
      lang: 'language',
      verticalContentAlignment: vertical,
    },
  },
  TextBlock: {
    properties: {
      ...element,
      text: 'text',
      color: colors,
      fontType,
      horizontalAlignment: horizontal,
      isSubtle: 'flag',
      maxLines: 'number',
      size: fontSize,
      weight,
      wrap: 'flag',
      style: { oneOf: ['default', 'heading'] },
    },
    required: ['text'],
  },
  RichTextBlock: {
    properties: { ...element, inlines: { things: ['TextRun'], orText: true }, horizontalAlignment: horizontal },
    required: ['inlines'],
  },
  TextRun: {
    properties: {
      text: 'text',
      color: colors,
      fontType,
      highlight: 'flag',
      isSubtle: 'flag',
      italic: 'flag',
      selectAction,
      size: fontSize,
      strikethrough: 'flag',
      underline: 'flag',
      weight,
    },
    required: ['text'],
  },
  Image: {
    properties: {
      ...element,
      url: 'image',
      altText: 'text',
      backgroundColor: 'color',
      height: 'width',
      horizontalAlignment: horizontal,
      selectAction,
      size: imageSize,
      style: { oneOf: ['default', 'person'] },
      width: 'px',
    },
    required: ['url'],
  },
  ImageSet: { properties: { ...element, images: { things: ['Image'] }, imageSize }, required: ['images'] },
  Media: {
    properties: { ...element, sources: { things: ['MediaSource'] }, poster: 'image', altText: 'text' },
    required: ['sources'],
  },
  MediaSource: { properties: { mimeType: 'name', url: 'media' }, required: ['mimeType', 'url'] },
  ActionSet: { properties: { ...element, actions: { things: actionTypes } }, required: ['actions'] },
  Container: { properties: { ...element, ...box, items: elements }, required: ['items'] },
  ColumnSet: {
    properties: {
      ...element,
      columns: { things: ['Column'] },
      selectAction,
      style: containerStyle,
      bleed: 'flag',
      minHeight: 'px',
      horizontalAlignment: horizontal,
    },
  },
  Column: {
    properties: {
      ...toggleable,
      ...spaced,
      ...box,
      items: elements,
      width: 'width',
      fallback: { thing: ['Column'], or: ['drop'] },
    },
  },
  FactSet: { properties: { ...element, facts: { things: ['Fact'] } }, required: ['facts'] },
  Fact: { properties: { title: 'text', value: 'text' }, required: ['title', 'value'] },
  Table: {
    properties: {
      ...element,
      ...cellAlignment,
      columns: { things: ['TableColumnDefinition'] },
      rows: { things: ['TableRow'] },
      firstRowAsHeader: 'flag',
      showGridLines: 'flag',
      gridStyle: containerStyle,
    },
  },
  TableColumnDefinition: { properties: { ...cellAlignment, width: 'width' } },
  TableRow: { properties: { ...cellAlignment, cells: { things: ['TableCell'] }, style: containerStyle } },
  TableCell: { properties: { ...box, items: elements }, required: ['items'] },
  'Input.Text': {
    properties: {
      ...input,
      isMultiline: 'flag',
      maxLength: 'number',
      placeholder: 'text',
      regex: 'ignored', // an expression of anybody can take for ever; what is needed is checked by the backend
      style: { oneOf: ['text', 'tel', 'url', 'email', 'password'] },
      inlineAction: selectAction,
      value: 'text',
    },
    required: ['id'],
  },
  'Input.Number': {
    properties: { ...input, max: 'number', min: 'number', placeholder: 'text', value: 'number' },
    required: ['id'],
  },
  'Input.Date': {
    properties: { ...input, max: 'date', min: 'date', placeholder: 'text', value: 'date' },
    required: ['id'],
  },
  'Input.Time': {
    properties: { ...input, max: 'time', min: 'time', placeholder: 'text', value: 'time' },
    required: ['id'],
  },
  'Input.Toggle': {
    properties: { ...input, title: 'text', value: 'text', valueOff: 'text', valueOn: 'text', wrap: 'flag' },
    required: ['id', 'title'],
  },
  'Input.ChoiceSet': {
    properties: {
      ...input,
      choices: { things: ['Input.Choice'] },
      isMultiSelect: 'flag',
      style: { oneOf: ['compact', 'expanded', 'filtered'] },
      value: 'text',
      placeholder: 'text',
      wrap: 'flag',
    },
    required: ['id'],
  },
  'Input.Choice': { properties: { title: 'text', value: 'text' }, required: ['title', 'value'] },
  'Action.Submit': { properties: answer },
  'Action.Execute': { properties: answer },
  'Action.OpenUrl': { properties: { ...action, url: 'link' }, required: ['url'] },
  'Action.ToggleVisibility': { properties: { ...action, targetElements: 'targets' }, required: ['targetElements'] },
  'Action.ShowCard': { properties: { ...action, card: { thing: ['AdaptiveCard'] } }, required: ['card'] },
  BackgroundImage: {
    properties: {
      url: 'image',
      fillMode: { oneOf: ['cover', 'repeatHorizontally', 'repeatVertically', 'repeat'] },
      horizontalAlignment: horizontal,
      verticalAlignment: vertical,
    },
    required: ['url'],
  },
};

/** Things whose `type` goes without saying, because only one kind can stand there. */
export const untyped: ReadonlySet<string> = new Set([
  'Fact',
  'Input.Choice',
  'MediaSource',
  'Column',
  'Image',
  'TableRow',
  'TableCell',
  'TableColumnDefinition',
  'AdaptiveCard',
]);
