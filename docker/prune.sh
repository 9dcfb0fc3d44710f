#!/bin/sh
# Remove from a virtual environment what the service never loads: what only a compiler, a test or another platform needs.
#
#   prune.sh ENVIRONMENT
set -eu

cd "$1"/lib/python3*/site-packages

# For compilers of extensions, and the packages' own tests.
rm -rf torch/include torch/test pyarrow/include onnx/backend/test/data
find torch/bin -type f ! -name torch_shm_manager -delete
find . -type d -name tests -prune -exec rm -rf {} +

# Clients of Arrow Flight and of S3: optional parts of pyarrow; the service reads Parquet, and uses s3fs.
rm -f pyarrow/libarrow_flight.* pyarrow/libarrow_python_flight.* pyarrow/_flight.* pyarrow/libarrow_s3.* pyarrow/_s3fs.*

# Solvers for other systems.
rm -rf pulp/solverdir/cbc/osx pulp/solverdir/cbc/win pulp/solverdir/cbc/linux/i32

# Descriptions of Amazon's other services.
if [ -d botocore/data ]; then
    find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name sso ! -name sso-oidc -exec rm -rf {} +
fi

# Names of functions for debuggers.
strip --strip-unneeded torch/lib/*.so
