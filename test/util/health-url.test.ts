import { expect, test } from 'vitest';
import { healthUrlOf } from '../../src/util/health-url.ts';

test.each([
  ['specs --health-listen 8081', 'http://127.0.0.1:8081/healthz'],
  ['specs --health-listen=0.0.0.0:8081 --listen 8080', 'http://127.0.0.1:8081/healthz'],
  ['--listen 0.0.0.0:8080 --health-listen 127.0.0.1:8081 specs', 'http://127.0.0.1:8081/healthz'],
  ['specs --listen 10.0.0.7:8080', 'http://10.0.0.7:8080/healthz'],
  ['specs --listen 8080 --listen 8082', 'http://127.0.0.1:8082/healthz'],
  ['specs --listen [::]:8080', 'http://[::1]:8080/healthz'],
  ['specs --listen [fd00::1]:8080', 'http://[fd00::1]:8080/healthz'],
  ['specs --listen 0', undefined],
  ['specs --listen', undefined],
  ['specs --interval 300', undefined],
  ['--once specs', undefined],
  ['', undefined],
  ['sandbox', 'http://127.0.0.1:4566/_sandbox/health'],
  ['sandbox --host 0.0.0.0 --port 4570', 'http://127.0.0.1:4570/_sandbox/health'],
  ['sandbox --host ::', 'http://[::1]:4566/_sandbox/health'],
])('health check: finds the endpoint of %j', (args, url) => {
  expect(healthUrlOf(['node', '/app/main.js', ...args.split(' ').filter(Boolean)])).toBe(url);
});

test('health check: finds the command line behind an init process', () => {
  const commandLine = ['/sbin/docker-init', '--', 'node', '/app/main.js', 'specs', '--listen', '8080'];
  expect(healthUrlOf(commandLine)).toBe('http://127.0.0.1:8080/healthz');
});

test('health check: reports a process that is not replikey', () => {
  expect(() => healthUrlOf(['/sbin/init'])).toThrow('process is not replikey: /sbin/init');
});
