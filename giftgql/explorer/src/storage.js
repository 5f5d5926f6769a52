// What the browser remembers of the tabs and the history: never a code, a PIN, a CVV or a token.
// Of all texts in documents and variables it keeps those that can be none of these: amounts with a
// point, days and durations by their form, the schema's names, and what stands in the tabs that
// everybody begins with. All others become "…" once the page is loaded again.

const HARMLESS = /^(?:-?\d{1,12}\.\d{1,4}|\d{4}-\d{2}-\d{2}|P[\dTYMWDHS]{1,12})$/;
const HIDDEN = '…';
const TEXT = /"""(?:[^\\]|\\[\s\S])*?"""|"(?:[^"\\\n]|\\.)*"?|#[^\n]*/g;
const MANY_DIGITS = /\d{4}/;
const known = new Set();

export function know(texts) {
  for (const each of texts) known.add(each);
}

/** All texts within a value. */
export function textsOf(value) {
  if (typeof value === 'string') return [value];
  return value && typeof value === 'object' ? Object.values(value).flatMap(textsOf) : [];
}

function isHarmless(text) {
  return HARMLESS.test(text) || known.has(text);
}

export function withoutSecrets(document) {
  return document.replace(TEXT, (found) => {
    if (found.startsWith('#')) return MANY_DIGITS.test(found) ? '#' : found;
    return isHarmless(found.replaceAll('"', '')) ? found : `"${HIDDEN}"`;
  });
}

function hidden(value) {
  if (typeof value === 'string') return isHarmless(value) ? value : HIDDEN;
  if (typeof value === 'number') return Math.abs(value) < 1000 ? value : 0;
  if (Array.isArray(value)) return value.map(hidden);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, hidden(of)]));
}

export function variablesWithoutSecrets(text) {
  try {
    return JSON.stringify(hidden(JSON.parse(text)), null, 2);
  } catch {
    return '';
  }
}

function tab(each) {
  const { id, title, operationName } = each;
  const kept = { id, title, operationName, headers: null, response: null };
  kept.query = each.query && withoutSecrets(each.query);
  kept.variables = each.variables && variablesWithoutSecrets(each.variables);
  return kept;
}

function tabs(text) {
  const state = JSON.parse(text);
  return JSON.stringify({ activeTabIndex: state.activeTabIndex, tabs: state.tabs.map(tab) });
}

function history(text) {
  const { queries, favorites } = JSON.parse(text);
  const kept = (each) => ({ ...tab(each), label: each.label, favorite: each.favorite });
  return JSON.stringify({ queries: queries?.map(kept), favorites: favorites?.map(kept) });
}

const KEPT = {
  'graphiql:query': withoutSecrets,
  'graphiql:variables': variablesWithoutSecrets,
  'graphiql:headers': () => '',
  'graphiql:tabState': tabs,
  'graphiql:queries': history,
  'graphiql:favorites': history,
};

function isLayout(key) {
  return /^graphiql:(?:visiblePlugin|theme|docExplorer\w*|\w*[fF]lex|operationName)$/.test(key);
}

export const storage = {
  getItem: (key) => localStorage.getItem(key),
  setItem(key, value) {
    const kept = KEPT[key] ?? (isLayout(key) ? (text) => text : null);
    if (kept === null) return;
    try {
      localStorage.setItem(key, kept(value));
    } catch {
      localStorage.removeItem(key);
    }
  },
  removeItem: (key) => localStorage.removeItem(key),
  get length() {
    return Object.keys(localStorage).filter((key) => key.startsWith('graphiql:')).length;
  },
  clear() {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith('graphiql:')) localStorage.removeItem(key);
    }
  },
};
