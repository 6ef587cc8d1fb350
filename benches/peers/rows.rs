//! The rows of the table: a name, the payload, how many runs are counted (and then twice as many), and the work with stroma and
//! with others.

macro_rules! rows {
    ($with:ident) => {
        $with! {
            seq8_u64[u64] * 400: stroma = with_stroma::seq8, skid_pipe = skid::seq8, tower = services::seq8;
            seq8_wide[Wide] * 400: stroma = with_stroma::seq8, skid_pipe = skid::seq8, tower = services::seq8;
            seq8_page[Page] * 40: stroma = with_stroma::seq8, skid_pipe = skid::seq8, tower = services::seq8;
            seq8_u64_yield[Yields<u64>] * 400: stroma = with_stroma::seq8, skid_pipe = skid::seq8, tower = services::seq8;
            seq8_wide_yield[Yields<Wide>] * 400: stroma = with_stroma::seq8, skid_pipe = skid::seq8, tower = services::seq8;
            seq8_page_yield[Yields<Page>] * 40: stroma = with_stroma::seq8, skid_pipe = skid::seq8, tower = services::seq8;
            seq8_retry_timeout_u64[u64] * 400: stroma = with_stroma::seq8_retry_timeout, backon = retries::seq8_retry_timeout, tower = services::seq8_retry_timeout;
            seq8_retry_timeout_wide[Wide] * 400: stroma = with_stroma::seq8_retry_timeout, backon = retries::seq8_retry_timeout, tower = services::seq8_retry_timeout;
            seq8_retry_timeout_page[Page] * 40: stroma = with_stroma::seq8_retry_timeout, backon = retries::seq8_retry_timeout, tower = services::seq8_retry_timeout;
            seq8_retry_timeout_u64_yield[Yields<u64>] * 400: stroma = with_stroma::seq8_retry_timeout, backon = retries::seq8_retry_timeout, tower = services::seq8_retry_timeout;
            seq8_retry_timeout_wide_yield[Yields<Wide>] * 400: stroma = with_stroma::seq8_retry_timeout, backon = retries::seq8_retry_timeout, tower = services::seq8_retry_timeout;
            seq8_retry_timeout_page_yield[Yields<Page>] * 40: stroma = with_stroma::seq8_retry_timeout, backon = retries::seq8_retry_timeout, tower = services::seq8_retry_timeout;
            par2_u64[u64] * 400: stroma = with_stroma::par2, futures_try_join = joins::futures, tokio_try_join = joins::tokio;
            par2_wide[Wide] * 400: stroma = with_stroma::par2, futures_try_join = joins::futures, tokio_try_join = joins::tokio;
            par2_page[Page] * 40: stroma = with_stroma::par2, futures_try_join = joins::futures, tokio_try_join = joins::tokio;
            par2_u64_yield[Yields<u64>] * 400: stroma = with_stroma::par2, futures_try_join = joins::futures, tokio_try_join = joins::tokio;
            par2_wide_yield[Yields<Wide>] * 400: stroma = with_stroma::par2, futures_try_join = joins::futures, tokio_try_join = joins::tokio;
            par2_page_yield[Yields<Page>] * 40: stroma = with_stroma::par2, futures_try_join = joins::futures, tokio_try_join = joins::tokio;
            durable_u64[u64] * 20: stroma = durable::stroma, memable = durable::memable;
            durable_wide[Wide] * 20: stroma = durable::stroma, memable = durable::memable;
        }
    };
}
pub(crate) use rows;
