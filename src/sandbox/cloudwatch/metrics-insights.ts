import { missingFeatureError } from '../aws-error.ts';
import type { MetricState } from '../state.ts';
import { validationError } from './errors.ts';

/** Query of CloudWatch Metrics Insights. */
export interface InsightsQuery {
  /** Statistic of GetMetricData: `Sum`, `Average`, … */
  statistic: string;
  metric: string;
  namespace: string;
  /** Names of the dimensions that a metric has, in alphabetical order; undefined: any. */
  dimensions?: string[];
  conditions: { dimension: string; equal: boolean; value: string }[];
  groupBy: string[];
}

const FUNCTIONS: Record<string, string | undefined> = {
  SUM: 'Sum',
  AVG: 'Average',
  MIN: 'Minimum',
  MAX: 'Maximum',
  COUNT: 'SampleCount',
};

const NAME = String.raw`(?:"[^"]+"|[\w.-]+)`;
const QUERY = new RegExp(
  String.raw`^SELECT\s+(\w+)\s*\(\s*(${NAME})\s*\)\s+FROM\s+(?:SCHEMA\s*\(\s*(${NAME})((?:\s*,\s*${NAME})*)\s*\)|(${NAME}))` +
    String.raw`(?:\s+WHERE\s+(.+?))?(?:\s+GROUP\s+BY\s+(${NAME}(?:\s*,\s*${NAME})*))?$`,
  'is',
);
const CONDITION = new RegExp(String.raw`^(${NAME})\s*(=|!=)\s*'([^']*)'$`, 's');

/**
 * Parses a query: SELECT with FROM, WHERE with conditions on dimensions that AND combines, and GROUP BY (CloudWatch User
 * Guide, "Metrics Insights query components and syntax").
 *
 * @throws AwsError for a query that is not valid, or that the sandbox does not implement.
 */
export function parseInsightsQuery(expression: string): InsightsQuery {
  const text = expression.trim();
  if (!/^SELECT\b/i.test(text)) throw missingFeatureError('metric math in alarms');
  if (/\b(?:ORDER\s+BY|LIMIT|OR)\b|\btag\./i.test(text.replace(/'[^']*'|"[^"]*"/g, "''")))
    throw missingFeatureError('ORDER BY, LIMIT, OR and tags in Metrics Insights queries');
  const [, name = '', metric = '', schemaNamespace, dimensions = '', namespace, where = '', groupBy = ''] =
    QUERY.exec(text) ?? [];
  const statistic = FUNCTIONS[name.toUpperCase()];
  if (statistic === undefined) throw validationError(`Invalid Metrics Insights query: ${expression}`);
  const conditions =
    where === '' ? [] : where.split(/\s+AND\s+/i).map((condition) => parseCondition(condition.trim()));
  return {
    statistic,
    metric: unquote(metric),
    namespace: unquote(schemaNamespace ?? namespace ?? ''),
    ...(schemaNamespace === undefined ? {} : { dimensions: namesOf(dimensions).sort() }),
    conditions,
    groupBy: namesOf(groupBy),
  };
}

function parseCondition(text: string): InsightsQuery['conditions'][number] {
  const [, dimension, operator, value] = CONDITION.exec(text) ?? [];
  if (dimension === undefined || value === undefined)
    throw missingFeatureError(`the condition ${text} in Metrics Insights queries`);
  return { dimension: unquote(dimension), equal: operator === '=', value };
}

const namesOf = (list: string): string[] =>
  list
    .split(',')
    .map((name) => unquote(name.trim()))
    .filter((name) => name !== '');

const unquote = (name: string): string => name.replace(/^"|"$/g, '');

/** Time series of a query: the metrics of one group, with its values of GROUP BY. */
export interface InsightsSeries {
  attributes: Record<string, string>;
  metrics: MetricState[];
}

/** Returns the time series of a query among the metrics of an account and Region. Without GROUP BY it is one. */
export function selectSeries(query: InsightsQuery, metrics: Iterable<MetricState>): InsightsSeries[] {
  const groups = new Map<string, InsightsSeries>();
  if (query.groupBy.length === 0) groups.set('{}', { attributes: {}, metrics: [] });
  for (const metric of metrics) {
    if (!matchesQuery(query, metric)) continue;
    const dimensions = new Map(metric.dimensions);
    const attributes = Object.fromEntries(
      query.groupBy.map((name): [string, string] => [name, dimensions.get(name) ?? '']),
    );
    const key = JSON.stringify(attributes);
    const group = groups.get(key) ?? { attributes, metrics: [] };
    group.metrics.push(metric);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function matchesQuery(
  { metric, namespace, dimensions, conditions, groupBy }: InsightsQuery,
  state: MetricState,
): boolean {
  if (state.name !== metric || state.namespace !== namespace) return false;
  const values = new Map(state.dimensions);
  // FROM SCHEMA selects metrics with exactly these dimensions.
  if (dimensions && JSON.stringify(dimensions) !== JSON.stringify([...values.keys()])) return false;
  if (!groupBy.every((name) => values.has(name))) return false;
  return conditions.every(({ dimension, equal, value }) => (values.get(dimension) === value) === equal);
}
