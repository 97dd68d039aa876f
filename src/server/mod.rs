//! Assembly: store, audit, broker, gateway and interface become one process.
