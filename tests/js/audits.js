// Runs the audits of GraphQL over HTTP against a server: node audits.js URL TOKEN
// Prints each audit that is not passed as JSON: [{"id", "status", "name", "reason"}], and how many are.
import { serverAudits } from "graphql-http";

const [url, token] = process.argv.slice(2);

function fetchFn(address, options = {}) {
  return fetch(address, { ...options, headers: { ...options.headers, Authorization: `Bearer ${token}` } });
}

let passed = 0;
const failed = [];
for (const { id, name, fn } of serverAudits({ url, fetchFn })) {
  const { status, reason } = await fn();
  if (status === "ok") passed += 1;
  else failed.push({ id, status, name, reason });
}
console.log(JSON.stringify({ passed, failed }));
