// A database of its own for one test file, with all migrations applied.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, inject } from 'vitest';
import { Database } from '../../src/kit/database.ts';
import { urlOf } from './postgres.ts';

export type TestDatabase = { readonly database: Database; readonly url: string };

/**
 * Call at the top of a test file (or a describe block); the fields are filled before its first test. `template0` is a
 * database with nothing in it.
 */
export function useDatabase(template: 'carillon_template' | 'template0' = 'carillon_template'): TestDatabase {
  const folder = inject('postgresSocketFolder');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const url = urlOf(folder, name);
  const database = new Database({ url, poolSize: 8 });
  const admin = new Database({ url: urlOf(folder, 'postgres'), poolSize: 1 });
  beforeAll(() => admin.query(`create database ${name} template ${template}`));
  afterAll(async () => {
    await database.close();
    await admin.query(`drop database ${name} with (force)`);
    await admin.close();
  });
  return { database, url };
}
