# Thin names for the scripts; each takes its options from ARGS, as in
# make test ARGS=--quick

.PHONY: bench build demo dev release soak test

bench:
	@./scripts/bench.sh $(ARGS)

build:
	@./scripts/build.sh $(ARGS)

demo:
	@./scripts/demo.sh $(ARGS)

dev:
	@./scripts/demo.sh --keep $(ARGS)

release:
	@./scripts/release.sh $(ARGS)

soak:
	@./scripts/soak.sh $(ARGS)

test:
	@./scripts/test.sh $(ARGS)
