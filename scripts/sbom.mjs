// The bill of materials in CycloneDX, for scanners of known vulnerabilities.

/**
 * Returns the bill of materials of a bundle. It is deterministic, without a time or a serial number. The checksums are from
 * the lock file.
 */
export function sbomOf(packages, { name, version, description, license }, lock) {
  const root = componentOf({ name, version, license });
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: { component: { ...root, type: 'application', description } },
    components: packages.map((entry) => ({
      ...componentOf(entry),
      scope: 'required',
      hashes: hashesOf(lock.packages[entry.folder].integrity),
    })),
  };
}

function componentOf({ name, version, license }) {
  const [group, baseName] = name.startsWith('@') ? name.split('/') : [undefined, name];
  // A package URL encodes the `@` of a scope as %40.
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  return {
    type: 'library',
    'bom-ref': purl,
    ...(group && { group }),
    name: baseName,
    version,
    licenses: [{ license: { id: license } }],
    purl,
  };
}

/** Converts `sha512-…` to hexadecimal digits for CycloneDX. */
function hashesOf(integrity) {
  const [, bits, content] = /^sha(\d+)-(.+)$/.exec(integrity);
  return [{ alg: `SHA-${bits}`, content: Buffer.from(content, 'base64').toString('hex') }];
}
