// The licences of the packages that a bundle was made from.

/** Returns the licence text that the bundle must include: all packages with their licences. */
export function licencesOf(packages) {
  const texts = packages.map(({ name, version, license, text }) => {
    const title = `${name} ${version} (${license})`;
    return text ? `${title}\n\n${text}` : title;
  });
  return ['replikey contains code of the packages below.', ...texts].join(`\n\n${'-'.repeat(80)}\n\n`);
}
