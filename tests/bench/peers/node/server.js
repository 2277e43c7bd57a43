// The npm package policyfile (3rd-Eden's FlashPolicyFileServer), to measure flashpolicyd against.
//
// usage: NODE_PATH=.../node_modules node server.js PORT POLICY_FILE
//
// The package answers at once, without reading the request, and logs nothing for a client. Of its
// own it makes the policy from origins and ends it without a NUL; here it is given our policy and
// the NUL, so that everybody sends the same bytes. With a current Node it also keeps the file
// descriptor of every client for ever, because it never reads what came; that is mended here, or it
// would end at the limit of open files.

'use strict';

const fs = require('fs');
const policyfile = require('policyfile');

const [port, file] = process.argv.slice(2);
const server = policyfile.createServer({ log: false });
server.buffer = Buffer.concat([fs.readFileSync(file), Buffer.from([0])]);
// After the answer: the package's own listener came first.
server.socket.on('connection', (client) => client.resume());
// What the package's own listen() does, except that it would listen on every address of the host,
// with Node's backlog of 511.
server.socket.listen({ host: '127.0.0.1', port: Number(port), backlog: 4096 });
