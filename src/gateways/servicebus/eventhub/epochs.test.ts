import { expect, it } from 'vitest';
import { Epochs } from './epochs.ts';

const stolen = expect.objectContaining({ details: { condition: 'amqp:link:stolen' } });

it('gives a partition to the reader of the highest level, and to the latest of these', () => {
  const epochs = new Epochs();
  const ended: string[] = [];
  const enter = (name: string, epoch?: number, place = 'p') => epochs.enter(place, epoch, () => ended.push(name));
  enter('plain');
  enter('second plain');
  enter('elsewhere', undefined, 'q');
  enter('one', 1);
  expect(ended).toEqual(['plain', 'second plain']);
  expect(() => enter('late')).toThrow(stolen);
  expect(() => enter('zero', 0)).toThrow(stolen);
  const leave = enter('another one', 1);
  expect(ended.slice(2)).toEqual(['one']);
  leave();
  enter('zero', 0);
  enter('q', undefined, 'q');
  expect(ended.slice(3)).toEqual([]);
});
