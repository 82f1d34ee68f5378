// The licences of the packages that a bundle was made from.

/** The text that must go with the bundle: every package, with its licence. */
export function licencesOf(packages) {
  const texts = packages.map(({ name, version, license, text }) => {
    const title = `${name} ${version} (${license})`;
    return text ? `${title}\n\n${text}` : title;
  });
  return ['replikey contains code of the packages below.', ...texts].join(`\n\n${'-'.repeat(80)}\n\n`);
}
