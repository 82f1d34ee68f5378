// What ships, for programs that look for known vulnerabilities: a bill of materials in CycloneDX.

/**
 * A document about the packages of a bundle, the same for the same packages: without a time or a serial number. The
 * lock file tells the checksum of what was installed.
 */
export function sbomOf(packages, { name, version, description, license }, lock) {
  const root = componentOf({ name, version, license });
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: { ...root, type: 'application', description } },
    components: packages.map((one) => ({
      ...componentOf(one),
      scope: 'required',
      hashes: hashesOf(lock.packages[one.folder].integrity),
    })),
  };
}

function componentOf({ name, version, license }) {
  const [group, own] = name.startsWith('@') ? name.split('/') : [undefined, name];
  // `@` of a scope is written %40 in a package URL.
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  return {
    type: 'library',
    'bom-ref': purl,
    ...(group && { group }),
    name: own,
    version,
    licenses: [{ license: { id: license } }],
    purl,
  };
}

/** `sha512-…`, of which CycloneDX wants the digits in hexadecimal. */
function hashesOf(integrity) {
  const [, bits, content] = /^sha(\d+)-(.+)$/.exec(integrity);
  return [{ alg: `SHA-${bits}`, content: Buffer.from(content, 'base64').toString('hex') }];
}
