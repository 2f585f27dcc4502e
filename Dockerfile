# ACS-Gym with its commands, on the bundled PDK; SKY130 is fetched by `acs-gym pdk install sky130`.
#   docker build --tag acs-gym . && docker run --rm acs-gym list
FROM python:3.12-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libngspice0 ngspice \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --home-dir /acs --uid 1000 acs
WORKDIR /src
COPY requirements/setup.txt requirements/setup.txt
RUN pip install --no-cache-dir --require-hashes --only-binary :all: --no-deps --requirement requirements/setup.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
USER 1000
WORKDIR /acs
ENV OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
ENTRYPOINT ["acs-gym"]
CMD ["--help"]
