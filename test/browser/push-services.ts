// Everything that a real browser needs to be pushed to without the internet: the push services of Chromium and Firefox on this
// machine, and a server whose hub is configured to use them.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeVapidKeys } from '../../src/hub/drivers/vapid.ts';
import { makeCertificate } from '../../src/kit/certificate.ts';
import { projectFolder } from '../../src/main/version.ts';
import { AutopushStandin } from '../standins/autopush.ts';
import { ChromiumPushStandin } from '../standins/chromium-push.ts';
import { WebPushStandin } from '../standins/webpush.ts';

export class PushServices implements AsyncDisposable {
  readonly webpush: WebPushStandin;
  readonly autopush: AutopushStandin;
  readonly chromium: ChromiumPushStandin;
  readonly folder: string;
  /** For `ServerProcess.start({ config })`: the shipped configuration, with this hub. */
  readonly config: string;

  readonly #ca: string;

  private constructor(
    ca: string,
    folder: string,
    webpush: WebPushStandin,
    autopush: AutopushStandin,
    chromium: ChromiumPushStandin,
  ) {
    this.#ca = ca;
    this.folder = folder;
    this.config = join(folder, 'carillon.config.ts');
    this.webpush = webpush;
    this.autopush = autopush;
    this.chromium = chromium;
  }

  static async start(): Promise<PushServices> {
    const certificate = makeCertificate();
    const webpush = await WebPushStandin.start({ certificate });
    const [folder, autopush, chromium] = await Promise.all([
      mkdtemp(join(tmpdir(), 'carillon-push-')),
      AutopushStandin.start(webpush),
      ChromiumPushStandin.start(webpush, certificate),
    ]);
    const services = new PushServices(certificate.ca, folder, webpush, autopush, chromium);
    await services.giveNewKeys();
    return services;
  }

  /** The hub has other VAPID keys from its next start on. */
  async giveNewKeys(): Promise<void> {
    const ca = this.#ca;
    const { origins } = this.chromium;
    const browser = { ...makeVapidKeys(), subject: 'mailto:team@example.org', allowPrivate: true, ca, origins };
    const shipped = JSON.stringify(join(projectFolder, 'carillon.config.ts'));
    const source = `import shipped from ${shipped};\nexport default { ...shipped, hubs: { main: { browser: ${JSON.stringify(browser)} } } };\n`;
    await writeFile(this.config, source);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.autopush.stop(), this.chromium.stop(), this.webpush.stop()]);
    await rm(this.folder, { recursive: true, force: true });
  }
}
