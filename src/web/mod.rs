//! Requests, responses, forms, cookies and security headers of the gateway's own endpoints, free of any server.
