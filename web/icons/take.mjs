// Prints icons.tsx anew: `node take.mjs <folder of the full @fluentui/react-icons> > icons.tsx`, then `biome check --write`.
// Needed only to add an icon.
// The full package is 270 MB in 47,000 files; a first start that builds the pages could not afford to install it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

// Those that the Fluent components in use import themselves, then those that our pages show.
const names = [
  ...[
    'Checkmark16Filled',
    'CheckmarkCircle12Filled',
    'CheckmarkCircleFilled',
    'ChevronDownRegular',
    'ChevronLeftFilled',
  ],
  ...['ChevronLeftRegular', 'ChevronRightFilled', 'ChevronRightRegular', 'CircleFilled', 'DiamondDismiss12Filled'],
  ...['DiamondDismissFilled', 'Dismiss20Regular', 'InfoFilled', 'Warning12Filled', 'WarningFilled'],
  ...[
    'AlertRegular',
    'AlertFilled',
    'ArchiveRegular',
    'ArchiveArrowBackRegular',
    'ArrowClockwiseRegular',
    'ArrowLeftRegular',
  ],
  ...['ArrowUpRegular', 'ArrowUndoRegular', 'BuildingRegular', 'ChatRegular', 'ChatFilled', 'CheckmarkRegular'],
  ...[
    'CheckmarkCircleRegular',
    'CircleRegular',
    'ClockRegular',
    'CopyRegular',
    'DarkThemeRegular',
    'DismissCircleRegular',
  ],
  ...['DismissRegular', 'ErrorCircleRegular', 'FilterRegular', 'FlashRegular', 'HomeRegular', 'HomeFilled'],
  ...['KeyRegular', 'LockClosedRegular', 'MailRegular', 'MailReadRegular', 'MailUnreadRegular', 'MailInboxRegular'],
  ...[
    'MailInboxFilled',
    'MoneyRegular',
    'OpenRegular',
    'OptionsRegular',
    'OptionsFilled',
    'PeopleRegular',
    'PeopleFilled',
  ],
  ...['PersonRegular', 'PhoneRegular', 'PlugDisconnectedRegular', 'SearchRegular', 'SendRegular', 'SignOutRegular'],
  ...['StreamRegular', 'StreamFilled', 'WalletRegular', 'WarningRegular', 'WeatherMoonRegular', 'WeatherSunnyRegular'],
  ...[
    'ArrowRoutingRegular',
    'ArrowSyncRegular',
    'BoxRegular',
    'MailAlertRegular',
    'MailAlertFilled',
    'QuestionCircleRegular',
  ],
  ...[
    'AlertOffRegular',
    'PersonQuestionMarkRegular',
    'ChevronRightRegular',
    'MegaphoneRegular',
    'MegaphoneFilled',
    'EyeRegular',
  ],
  ...['AlertOnRegular', 'ArrowDownloadRegular', 'BotRegular', 'BotFilled', 'DeleteRegular', 'DesktopRegular'],
  ...['GlobeRegular', 'PhoneLaptopRegular', 'PhoneLaptopFilled', 'PulseRegular', 'PulseFilled', 'SpeakerMuteRegular'],
  ...['ThumbLikeRegular', 'TabletRegular', 'SettingsRegular', 'ArrowForwardRegular', 'PauseCircleRegular'],
];

const folder = join(process.argv[2], 'lib');
const source = ['icons', 'sizedIcons']
  .flatMap((kind) => readdirSync(join(folder, kind)).map((file) => join(folder, kind, file)))
  .filter((file) => file.endsWith('.js'))
  .map((file) => readFileSync(file, 'utf8'))
  .join('\n');

console.log(`// Printed by take.mjs from Fluent UI's icons, (c) Microsoft Corporation, MIT licence. Do not edit by hand.
import { icon } from './icon.tsx';

export { bundleIcon, iconFilledClassName, iconRegularClassName } from './icon.tsx';`);
for (const name of [...new Set(names)].sort()) {
  const found = source.match(
    new RegExp(`export const ${name} = .*?createFluentIcon\\('${name}', "(\\w+)", (\\["[^\\]]*"\\])`),
  );
  if (!found) throw new Error(`no icon named ${name}`);
  const paths = JSON.parse(found[2]).map((path) => `'${path}'`);
  console.log(`export const ${name} = /* @__PURE__ */ icon('${found[1]}', [${paths.join(', ')}]);`);
}
