"""Names of jobs tell trainings and deployments, and ordinary names tell neither."""

from __future__ import annotations

import pytest

from stream_app.core.operators import DEPLOY, TRAIN
from stream_app.sources.openlineage_names import group_of, words


def _names(text: str) -> list[str]:
    """The names in a text, one after the other."""
    return text.split()


TRAININGS = _names("""
train Train-Model train_model trainModel TrainModel TRAIN_MODEL model-train ModelTraining training training_job
TrainingJob training_task training_step model_training_v2 train_job train_step train_v2 train2 daily_train
weekly_retrain retrain re-train retrain-model retrain_all_models train_models train_prod_model train_candidate_model
run_training execute_training train_app train_gpu distributed_training azureml_training_run sagemaker_training
SageMakerTraining vertex_ai_training pytorch_training PyTorchTraining train_tensorflow_model keras_fit sklearn_fit
train_xgboost trainXGBoost xgb_train XGBoostTrainer xgboost_trainer lightgbm_fit LightGBMFit train_lgbm_model
catboost_train fit fit_model fit_models fit_xgboost fit_classifier model_fit model_trainer Trainer finetune fine_tune
fine-tuning fineTune fine_tune_llm llm_finetuning lora_finetune pretrain pre_train pretraining pretrain_bert
train_bert train_dnn train_classifier train_ranker train_recommender train_neural_network train-random-forest
train_churn_model train_fraud_detection_model churn_model_training train_and_evaluate train_and_evaluate_model
train_and_register_model automl_train train_embeddings train_baseline train_final
""")

DEPLOYMENTS = _names("""
deploy deployModel DeployModel deploy_model deploy-model deploy_model_v2 deploy_model_to_prod deploy-to-prod
deploy_to_production prod_deploy deploy_step deploy_classifier deploy_xgboost_model deploy_sagemaker_model
deploy_model_endpoint deploy_champion_model deployment model_deployment redeploy_model canary_deploy_model push
push_model push-model push_model_to_serving push_to_prod push_task Pusher publish publish_model promote promote_model
PromoteModel promote_to_production promote_champion model_promotion release_model release-model-v3 model_release
model_rollout roll_out_model rollout_model serve_model
""")

ORDINARY = _names("""
train_test_split trains_schedule load_train_timetable train_schedule train_delays train_stations train_routes train_data
train_set train_service train_api train_tickets train_network_map train_operator train_component train_running
train_start train_arrival_predictor train_features train_metrics train_eval train_score split_train prepare_train
train_portal express_train freight_train_positions the_train trainers trainers_inventory personal_trainer
training_data_prep training_dataset training_data training_report employee_training_report staff_training
staff_training_export sales_training_signup training_calendar training_center training_room training_hours
training_cost training_budget training_portal training_enrolment training_compliance mandatory_training
online_training new_training training_pipeline train_pipeline training_workflow wait_for_training start_training
trigger_training_job data_training_courses training_survey training_feedback restrain constrain strain_analysis
drain_queue terrain_tiles brain_scans model_train_schedule training_set_stats training_features
fit_to_page fit_bounds best_fit bestfit curve_fit fit_transform fit_score fit_data fit_test fitting fittings profit
profit_and_loss outfit outfit_sync benefit benefit_calc benefit_model retrofit_data fitness fitness_app_sync
fitbit_import misfit_report
deploy_docs deploy_site deploy_app deploy_application deploy_service deploy_pipeline deploy_dag deploy_airflow_dags
deploy_config deploy_job_config deploy_infra deploy_terraform deploy_lambda deploy_function deploy_schema deploy_views
deploy_k8s deploy_mlflow deploy_spark_job deploy_dbt_models deploy_semantic_model deploy_to_staging
deploy_model_to_staging deploy_frontend deploy_migration deploy_stored_procedures deploy_dashboards deploy_crew
deploy_trucks redeploy_service deployment_report deployments blue_green_switch canary_release canary_deploy
publish_report publish_dashboard publish_data_model publish_models_docs publish_models publish_model_card
publish_model_metrics publish_event publish_events publish_to_kafka publish_catalog publish_metrics publish_dataset
publish_live publish_production publish_prices publish_newsletter unpublish republish_feed publisher_sync publications
push_notifications push_notification_stats push_metrics push_data push_events push_orders push_to_s3 push_to_snowflake
push_to_slack push_to_crm push_to_bigquery push_to_prod_db push_image push_live docker_push git_push pushback
pushdown_filter push_model_to_registry
promote_user promote_users promote_employees promote_to_gold promote_content promote_listing promote_orders promotion
promotions promotion_calendar sales_promotion promo_codes
release release_notes release_inventory release_funds release_holds release_models press_release_scraper serve_ads
serve_content rollout_feature_flags rollout_stats register_model model_registry_sync register_users
extract load transform extract_orders load_orders transform_orders orders_to_warehouse daily_sales weekly_revenue
monthly_close customer_360 dim_customer fact_orders stg_orders refresh_materialized_views vacuum_tables backup_database
copy_s3_to_redshift sync_salesforce import_products export_invoices send_emails email_digest data_quality_checks
dbt_run dbt_test spark_submit compact_files archive_logs ingest_clickstream sessionize dedupe_users geocode_addresses
currency_rates inventory_snapshot price_optimization demand_forecast churn_report ab_test_readout cohort_analysis
model_inventory car_model_sync data_model data_modeling semantic_model_refresh role_model run_report start_job
submit_claims launch_campaign execute_procedure application_logs
""")


@pytest.mark.parametrize("name", TRAININGS)
def test_names_of_trainings(name: str) -> None:
    """In any spelling, with frameworks, models, versions and times beside the verb."""
    assert group_of(name) == TRAIN


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_names_of_deployments(name: str) -> None:
    """Of a model, to where it serves, or the verb alone."""
    assert group_of(name) == DEPLOY


def test_ordinary_names_tell_neither() -> None:
    """Jobs of data engineers, of railways, of a training department, of software releases."""
    assert len(ORDINARY) >= 200
    assert len(set(ORDINARY)) == len(ORDINARY)
    assert {name: group_of(name) for name in ORDINARY if group_of(name) in (TRAIN, DEPLOY)} == {}


@pytest.mark.parametrize("name", [*TRAININGS, *DEPLOYMENTS])
@pytest.mark.parametrize("other", ["report", "schedule", "notifications", "users", "docs"])
def test_one_other_word_and_a_name_means_something_else(name: str, other: str) -> None:
    """Names are read whole."""
    assert group_of(f"{name}_{other}") not in (TRAIN, DEPLOY)


@pytest.mark.parametrize(
    "name", ["", "_", "123", "--", "é", "訓練", "train訓練", "a" * 1024, "_".join(["train"] * 200)]
)
def test_any_name_is_read(name: str) -> None:
    """Without an error, and what is not known tells nothing."""
    assert group_of(name) in (None, TRAIN)


def test_words_are_found_in_all_spellings() -> None:
    """Numbers are no words, and what belongs together is one."""
    assert words("Train-XGBoost_model.v2") == words("trainXgBoostModel V3") == ["train", "xgboost", "model", "v"]
    assert words("reTrain fine_tuning AutoML") == ["retrain", "finetuning", "automl"]
