"""The parts of the app that know Streamlit."""
