"""What should answer: route, rollout, evidence, judge, history."""
