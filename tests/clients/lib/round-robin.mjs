// A front before several gateways that knows nothing of HTTP.
import net from 'node:net';

/** Hands each new connection to the next backend that takes it. */
export class RoundRobin {
  static async start() {
    const self = new RoundRobin();
    self.backends = [];
    self.next = 0;
    self.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => self.#serve(client, self.backends.length));
    await new Promise((resolve) => self.server.listen(0, '127.0.0.1', 4096, resolve));
    self.origin = `http://127.0.0.1:${self.server.address().port}`;
    return self;
  }

  #serve(client, left) {
    const port = this.backends[this.next++ % this.backends.length];
    const backend = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const early = (error) => {
      if (left > 1) return this.#serve(client, left - 1);
      client.destroy(error);
    };
    backend.once('error', early);
    client.on('error', () => backend.destroy());
    backend.once('connect', () => {
      backend.off('error', early);
      backend.on('error', () => client.destroy());
      backend.on('close', () => client.destroy());
      client.on('close', () => backend.destroy());
      client.pipe(backend).pipe(client);
    });
  }

  stop() {
    this.server.close();
  }
}
