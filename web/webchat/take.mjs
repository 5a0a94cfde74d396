// Puts Web Chat's one file where the server finds it: `node take.mjs <folder of botframework-webchat>`, unpacked from `npm pack`.
// Needed only for another version. The package with all that it depends on is 200 MB, of which a page loads this one file;
// a first start could not afford to install it. It is kept compressed, as it is sent.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const folder = process.argv[2];
const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
if (license !== 'MIT') throw new Error(`its licence is ${license} now`);
const notice = `/*! Web Chat ${version}, (c) Microsoft Corporation, MIT licence. https://github.com/microsoft/BotFramework-WebChat */\n`;
const code = notice + readFileSync(join(folder, 'dist/webchat.js'), 'utf8');
writeFileSync(join(import.meta.dirname, `../public/vendor/webchat-${version}.js.gz`), gzipSync(code, { level: 9 }));
