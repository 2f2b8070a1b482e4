// Says whether a file is a FHIR R4 Bundle of AuditEvents: `node validate.cjs FILE`, the package `fhir` being found by
// NODE_PATH. Prints {"resources", "problems"} and exits 1 if there is a problem.
'use strict';
const fs = require('fs');
const { Fhir } = require('fhir');

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\S+$/i;
const UUID = /^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
// What the package lets pass: that nothing is empty anywhere, and the forms of ids, instants and absolute URIs.
const FORMS = { id: /^[A-Za-z0-9.-]{1,64}$/, recorded: INSTANT, system: ABSOLUTE, fullUrl: UUID };

function* emptiness(value, at) {
  if (value === null || value === '' || (typeof value === 'string' && value.trim() === '')) {
    yield { location: at, message: 'is empty' };
  } else if (typeof value === 'object') {
    if (Object.keys(value).length === 0) yield { location: at, message: 'is empty' };
    for (const [name, member] of Object.entries(value)) yield* emptiness(member, `${at}.${name}`);
  }
}

function* forms(value, at) {
  if (value === null || typeof value !== 'object') return;
  for (const [name, member] of Object.entries(value)) {
    if (FORMS[name] && !(typeof member === 'string' && FORMS[name].test(member))) {
      yield { location: `${at}.${name}`, message: `has not the form that it must have: ${JSON.stringify(member)}` };
    }
    yield* forms(member, `${at}.${name}`);
  }
}

// Invariants of R4: ext-1 of each extension, sev-1 of entities, bdl-7 of the bundle.
function* invariants(resource, at) {
  for (const extension of resource.extension ?? []) {
    const values = Object.keys(extension).filter((name) => name.startsWith('value')).length;
    if (!extension.url || values + (extension.extension ? 1 : 0) !== 1) {
      yield { location: `${at}.extension`, message: 'has a url, and either a value or extensions (ext-1)' };
    }
    yield* invariants(extension, `${at}.extension`);
  }
  for (const entity of resource.entity ?? []) {
    if (entity.name !== undefined && entity.query !== undefined) {
      yield { location: `${at}.entity`, message: 'has a name and a query (sev-1)' };
    }
  }
  const urls = (resource.entry ?? []).map((entry) => entry.fullUrl);
  if (new Set(urls).size !== urls.length) yield { location: `${at}.entry`, message: 'fullUrl is there twice (bdl-7)' };
}

function* found(fhir, resource, type, at) {
  if (resource?.resourceType !== type) {
    yield { location: at, message: `is no ${type}` };
    return;
  }
  for (const { severity, location, message } of fhir.validate(resource, { errorOnUnexpected: true }).messages) {
    if (severity === 'error' || severity === 'fatal') yield { location: `${at}: ${location}`, message };
  }
  yield* invariants(resource, at);
}

function* problems(bundle) {
  const fhir = new Fhir();
  yield* found(fhir, bundle, 'Bundle', 'bundle');
  if (bundle?.type !== 'collection') yield { location: 'bundle.type', message: 'is not `collection`' };
  yield* emptiness(bundle, 'bundle');
  yield* forms(bundle, 'bundle');
  for (const [n, entry] of (bundle?.entry ?? []).entries()) yield* found(fhir, entry.resource, 'AuditEvent', `entry ${n}`);
}

const bundle = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const list = [...problems(bundle)];
console.log(JSON.stringify({ resources: bundle?.entry?.length ?? 0, problems: list.slice(0, 100) }));
process.exit(list.length > 0 ? 1 : 0);
