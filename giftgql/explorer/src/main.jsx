import { explorerPlugin } from '@graphiql/plugin-explorer';
import { HISTORY_PLUGIN } from '@graphiql/plugin-history';
import { GraphiQL } from 'graphiql';
import { buildSchema, isEnumType, isInputObjectType, isNonNullType } from 'graphql';
import EditorWorker from 'monaco-editor/esm/vs/editor/editor.worker.js?worker';
import JsonWorker from 'monaco-editor/esm/vs/language/json/json.worker.js?worker';
import GraphQLWorker from 'monaco-graphql/esm/graphql.worker.js?worker';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import '@graphiql/plugin-explorer/style.css';
import 'graphiql/graphiql.css';
import './style.css';
import { know, storage, textsOf } from './storage.js';
import tabs from './tabs.json';

globalThis.MonacoEnvironment = {
  getWorker(_, label) {
    if (label === 'json') return new JsonWorker();
    return label === 'graphql' ? new GraphQLWorker() : new EditorWorker();
  },
};

const DEFAULT_TABS = tabs.map(({ query, variables }) => ({
  query,
  variables: JSON.stringify(variables, null, 2),
}));
const PLUGINS = [HISTORY_PLUGIN, explorerPlugin({ showAttribution: false })];
const DARK = matchMedia('(prefers-color-scheme: dark)');
const SIGN_IN = { code: 'UNAUTHENTICATED', help: 'Your session has ended.' };
const NO_ANSWER = {
  code: 'NO_ANSWER',
  help: 'The server did not answer. What has an idempotencyKey can be sent again as it is.',
};

/** What the active tab has; without this its variables are lost on the first visit. */
function begin() {
  try {
    const { tabs: kept, activeTabIndex } = JSON.parse(storage.getItem('graphiql:tabState'));
    return kept[activeTabIndex] ?? DEFAULT_TABS[0];
  } catch {
    return DEFAULT_TABS[0];
  }
}

/** The codes of errors, each with what it means, which the schema says, and what to do. */
function helpFor(answer, schema, hints) {
  const codes = new Set((answer.errors ?? []).map((each) => each.extensions?.code));
  codes.delete(undefined);
  const known = schema?.getType('ErrorCode');
  const said = (code) => [known?.getValue(code)?.description, hints[code]].filter(Boolean);
  return [...codes].map((code) => ({ code, help: said(code).join(' ') }));
}

function Help({ found }) {
  if (found.length === 0) return null;
  return (
    <div className="help" role="status">
      {found.map(({ code, help }) => (
        <p key={code}>
          <code>{code}</code> {help}
          {code === SIGN_IN.code && (
            <a href="/sign-in?next=/graphql" target="_blank">
              Sign in beside
            </a>
          )}
        </p>
      ))}
    </div>
  );
}

function Explorer({ schema, hints }) {
  const [found, setFound] = useState([]);
  const [isDark, setDark] = useState(DARK.matches);
  useEffect(() => {
    const change = () => setDark(DARK.matches);
    DARK.addEventListener('change', change);
    return () => DARK.removeEventListener('change', change);
  }, []);
  const [first] = useState(begin);

  async function fetcher(asked, { headers } = {}) {
    setFound([]);
    let answer;
    try {
      const response = await fetch('/graphql', {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          Accept: 'application/graphql-response+json, application/json',
          'X-GiftGQL-Request': '1',
          ...headers,
        },
        body: JSON.stringify(asked),
      });
      answer = await response.json();
      setFound(response.status === 401 ? [SIGN_IN] : helpFor(answer, schema, hints));
    } catch {
      answer = { errors: [{ message: NO_ANSWER.help }] };
      setFound([NO_ANSWER]);
    }
    return answer;
  }

  return (
    <GraphiQL
      defaultEditorToolsVisibility="variables"
      defaultTabs={DEFAULT_TABS}
      fetcher={fetcher}
      forcedTheme={isDark ? 'dark' : 'light'}
      initialQuery={first.query}
      initialVariables={first.variables}
      isHeadersEditorEnabled={false}
      plugins={PLUGINS}
      schema={schema}
      shouldPersistHeaders={false}
      storage={storage}
    >
      <GraphiQL.Logo>{' '}</GraphiQL.Logo>
      <GraphiQL.Footer>
        <Help found={found} />
      </GraphiQL.Footer>
    </GraphiQL>
  );
}

/** The schema as the editors need it: they ask for every input that is not null, also where it has a
 * default. */
function eased(schema) {
  const inputs = Object.values(schema.getTypeMap()).filter(isInputObjectType);
  for (const field of inputs.flatMap((each) => Object.values(each.getFields()))) {
    if (isNonNullType(field.type) && field.defaultValue !== undefined) field.type = field.type.ofType;
  }
  return schema;
}

async function load(path) {
  const answer = await fetch(path).catch(() => undefined);
  return answer?.ok ? answer.text() : undefined;
}

const [sdl, advice] = await Promise.all(['schema.graphql', 'hints.json'].map((name) => load(`/explorer/${name}`)));
const schema = sdl && eased(buildSchema(sdl));
const enums = Object.values(schema?.getTypeMap() ?? {}).filter(isEnumType);
know(enums.flatMap((each) => each.getValues().map(({ name }) => name)));
know(textsOf(tabs));
createRoot(document.getElementById('explorer')).render(<Explorer schema={schema} hints={JSON.parse(advice ?? '{}')} />);
