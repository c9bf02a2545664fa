//! Virtual phones for the radio: scenarios, a stand-in for BlueZ on a private bus, and a virtual controller for a real one.
