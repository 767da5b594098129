"""The gRPC port: Open Inference and health checks by gRPC, through the same core as the data port."""
