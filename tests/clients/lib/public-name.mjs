// Gives the gateway a public name on loopback, for the process that imports this: what an authorization server must be able
// to fetch has one (CL-18). `PUBLIC_NAME` is the name; everything else is looked up as ever.
import dns from 'node:dns';

const { lookup } = dns;
dns.lookup = (host, ...rest) => lookup(host === process.env.PUBLIC_NAME ? '127.0.0.1' : host, ...rest);
