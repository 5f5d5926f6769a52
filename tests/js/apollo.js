// A till on Apollo Client with automatic persisted queries: node apollo.js URL TOKEN CODE...
// Makes a card of each code and looks it up. Prints what it got and each request it made, as JSON.
import { createHash } from "node:crypto";
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";

const [uri, token, ...codes] = process.argv.slice(2);
const requests = [];

async function recorded(address, options) {
  const response = await fetch(address, options);
  const { query, extensions } = JSON.parse(options.body);
  requests.push({
    withText: query !== undefined,
    withHash: extensions?.persistedQuery !== undefined,
    status: response.status,
    type: response.headers.get("content-type"),
  });
  return response;
}

const client = new ApolloClient({
  cache: new InMemoryCache(),
  link: ApolloLink.from([
    new PersistedQueryLink({ sha256: (text) => createHash("sha256").update(text).digest("hex") }),
    new HttpLink({ uri, fetch: recorded, headers: { Authorization: `Bearer ${token}` } }),
  ]),
});

const ADD = gql`
  mutation Add($code: String!) {
    giftcardAdd(giftcard: { physicalCode: $code }) { id status balance }
  }
`;
const FIND = gql`
  query Find($code: String!) {
    giftcard(code: $code) { results { id codes { code } } }
  }
`;

const found = [];
for (const code of codes) {
  const variables = { code };
  const added = await client.mutate({ mutation: ADD, variables });
  const looked = await client.query({ query: FIND, variables });
  found.push({ added: added.data.giftcardAdd, found: looked.data.giftcard.results });
}
console.log(JSON.stringify({ found, requests }));
