"""Text messages: their texts, the outbox, and the gateways they leave by."""
